// Releases every packet twice.
#include "module.h"

static void rx_up(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    ion_npkt_t *again[ION_BURST_MAX];
    memcpy(again, pkts, n * sizeof *pkts);
    count(func_hdl, "seen", n);
    release(func_hdl, pkts, n);
    release(func_hdl, again, n);
}

static const ion_registrant_ops_t ops = {.size = sizeof ops, .rx_up = rx_up};

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    return protocol(ion, instance, "twice", "en", &ops);
}

MODULE(ION_KIND_PROTOCOL, "npm-twice", init)
