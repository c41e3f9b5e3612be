// A filter that passes everything on, above or below.
#include "module.h"

static const ion_registrant_ops_t ops = {
    .size = sizeof ops, .rx_up = pass_up, .rx_down = pass_down};

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    *instance =
        enter(ion, ION_REG_FILTER_ABOVE | ION_REG_FILTER_BELOW, "plain", NULL, NULL, &ops);
    return *instance == NULL ? -EEXIST : 0;
}

MODULE(ION_KIND_FILTER, "nfm-plain")
