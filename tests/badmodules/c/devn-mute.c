// Fails and does not say why.
#include "module.h"

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)ion, (void)options, (void)instance;
    return -ENODEV;
}

MODULE(ION_KIND_DRIVER, "devn-mute", init)
