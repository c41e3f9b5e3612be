// Keeps the first packets that it sees, and does not give them back at quiesce.
#include "module.h"

static uint32_t kept;

static void rx_up(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    uint32_t keep = n < 4 - kept ? n : 4 - kept;
    kept += keep;
    count(func_hdl, "kept", keep);
    release(func_hdl, pkts + keep, n - keep);
}

static const ion_registrant_ops_t ops = {.size = sizeof ops, .rx_up = rx_up};

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    return protocol(ion, instance, "hoard", "en", &ops);
}

MODULE(ION_KIND_PROTOCOL, "npm-hoard", init)
