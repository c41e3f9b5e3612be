// Fails after it has registered, holds packets and has a timer running.
#include "module.h"

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    int32_t result = quiet_driver(ion, options, instance);
    if (result < 0)
        return result;
    const struct instance *it = *instance;
    ion_npkt_t *pkts[4];
    uint32_t n = ion->alloc(ion->ctx, 64, pkts, 4);
    ion->tx_done(ion->ctx, pkts, n);
    ion->timer(ion->ctx, it->self, 0, ion->now_ns(ion->ctx) + 1);
    ion->poller(ion->ctx, it->self, 1);
    ion->fail(ion->ctx, ENODEV, ion_text("the device did not answer; is it plugged in?"));
    return -ENODEV;
}

MODULE(ION_KIND_DRIVER, "devn-half-way", init)
