// Fails after it has registered, holds packets and has a timer running.
#include "module.h"

static int32_t init(const ion_t *io, ion_text_t options, void **instance) {
    quiet_driver(io, options, instance);
    ion_npkt_t *pkts[4];
    uint32_t n = ion->alloc(ion->ctx, 64, pkts, 4);
    ion->tx_done(ion->ctx, pkts, n);
    ion->timer(ion->ctx, self, 0, ion->now_ns(ion->ctx) + 1);
    ion->poller(ion->ctx, self, 1);
    return fail(ENODEV, "the device did not answer; is it plugged in?");
}

MODULE(ION_KIND_DRIVER, "devn-half-way", init)
