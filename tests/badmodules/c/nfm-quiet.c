// A sound filter: passes everything on.
#include "module.h"

static void rx_up(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    (void)func_hdl;
    ion->tx_up(ion->ctx, self, pkts, n);
}

static void rx_down(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    (void)func_hdl;
    ion->tx_down(ion->ctx, self, pkts, n);
}

static const ion_registrant_ops_t ops = {.size = sizeof ops, .rx_up = rx_up, .rx_down = rx_down};

static int32_t init(const ion_t *io, ion_text_t options, void **instance) {
    (void)options, (void)instance;
    ion = io;
    return reg(ION_REG_FILTER_ABOVE, "quiet", "en", "en", &ops);
}

MODULE(ION_KIND_FILTER, "nfm-quiet", init)
