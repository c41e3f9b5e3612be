// Registers what cannot be: REGISTRANT is its description.
#include "module.h"

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options, (void)instance;
    ion_reg_handle_t self;
    uint16_t cell, endpoint;
    static const ion_registrant_t registrant = {REGISTRANT};
    return ion->reg(ion->ctx, &registrant, &self, &cell, &endpoint);
}

MODULE(ION_KIND_PROTOCOL, "npm-bad-registrant", init)
