// A sound filter: passes everything on.
#include "module.h"

static const ion_registrant_ops_t ops = {
    .size = sizeof ops, .rx_up = pass_up, .rx_down = pass_down};

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    return enter(ion, instance, ION_REG_FILTER_ABOVE, "quiet", "en", "en", &ops);
}

MODULE(ION_KIND_FILTER, "nfm-quiet", init)
