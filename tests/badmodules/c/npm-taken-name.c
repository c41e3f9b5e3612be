// Registers two protocols under one name.
#include "module.h"

static int32_t init(const ion_t *io, ion_text_t options, void **instance) {
    (void)options, (void)instance;
    ion = io;
    int32_t result = protocol("twin", &quiet_ops);
    return result < 0 ? result : protocol("twin", &quiet_ops);
}

MODULE(ION_KIND_PROTOCOL, "npm-taken-name", init)
