// Calls a function that nobody has.
#include "module.h"

int32_t nobody_has_this_function(void);

static int32_t init(const ion_t *io, ion_text_t options, void **instance) {
    (void)io, (void)options, (void)instance;
    return nobody_has_this_function();
}

MODULE(ION_KIND_DRIVER, "devn-undefined", init)
