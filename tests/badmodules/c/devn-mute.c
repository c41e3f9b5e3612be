// Fails and does not say why.
#include "module.h"

static int32_t init(const ion_t *io, ion_text_t options, void **instance) {
    (void)io, (void)options, (void)instance;
    return -ENODEV;
}

MODULE(ION_KIND_DRIVER, "devn-mute", init)
