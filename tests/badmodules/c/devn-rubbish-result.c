// Its init answers RESULT, which means nothing, after registering.
#include "module.h"

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    quiet_driver(ion, options, instance);
    return RESULT;
}

MODULE(ION_KIND_DRIVER, "devn-rubbish-result", init)
