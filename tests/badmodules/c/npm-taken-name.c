// Registers two protocols under one name.
#include "module.h"

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    int32_t result = protocol(ion, instance, "twin", "en", &quiet_ops);
    return result < 0 ? result : protocol(ion, instance, "twin", "en", &quiet_ops);
}

MODULE(ION_KIND_PROTOCOL, "npm-taken-name", init)
