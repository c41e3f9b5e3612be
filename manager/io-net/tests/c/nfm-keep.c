// A filter that keeps the last packet until the next one comes, so that there is always something
// to give back.
#include "module.h"

static void rx_up(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    struct instance *it = func_hdl;
    for (uint32_t i = 0; i < n; i++) {
        ion_npkt_t *kept = (ion_npkt_t *)(uintptr_t)it->numbers[0];
        it->numbers[0] = (uintptr_t)pkts[i];
        pkts[i] = kept;
    }
    if (pkts[0] == NULL)
        pkts++, n--;
    if (n > 0)
        pass_up(it, pkts, n);
}

static void quiesce(void *func_hdl) {
    struct instance *it = func_hdl;
    ion_npkt_t *kept = (ion_npkt_t *)(uintptr_t)it->numbers[0];
    it->numbers[0] = 0;
    if (kept != NULL)
        pass_up(it, &kept, 1);
}

static const ion_registrant_ops_t ops = {
    .size = sizeof ops, .rx_up = rx_up, .rx_down = pass_down, .quiesce = quiesce};

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    return enter(ion, instance, ION_REG_FILTER_ABOVE, "keep", "en", "en", &ops);
}

MODULE(ION_KIND_FILTER, "nfm-keep", init)
