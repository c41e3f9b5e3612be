// Releases the packets that it is given, and hands on things that are no packets at all.
#include "module.h"

static void rx_up(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    ion_npkt_t stranger = {.refs = 1};
    ion_npkt_t *strangers[] = {&stranger, NULL, (ion_npkt_t *)8};
    count("seen", n);
    release(func_hdl, pkts, n);
    ion->tx_down(ion->ctx, self, strangers, 3);
    strangers[0] = &stranger, strangers[1] = NULL, strangers[2] = (ion_npkt_t *)8;
    ion->tx_done(ion->ctx, strangers, 3);
}

static const ion_registrant_ops_t ops = {.size = sizeof ops, .rx_up = rx_up};

static int32_t init(const ion_t *io, ion_text_t options, void **instance) {
    (void)options, (void)instance;
    ion = io;
    return protocol("foreign", &ops);
}

MODULE(ION_KIND_PROTOCOL, "npm-foreign", init)
