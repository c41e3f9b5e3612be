// A filter that passes everything on, above or below.
#include "module.h"

static const ion_registrant_ops_t ops = {
    .size = sizeof ops, .rx_up = pass_up, .rx_down = pass_down};

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    uint32_t either = ION_REG_FILTER_ABOVE | ION_REG_FILTER_BELOW;
    return enter(ion, instance, either, "plain", NULL, NULL, &ops);
}

MODULE(ION_KIND_FILTER, "nfm-plain", init)
