// Calls a function that nobody has.
#include "module.h"

int32_t nobody_has_this_function(void);

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)ion, (void)options, (void)instance;
    return nobody_has_this_function();
}

MODULE(ION_KIND_DRIVER, "devn-undefined", init)
