// A driver that lends ten frames of its own memory, one after another, and counts those that come
// home.
#include "module.h"

static uint8_t memory[64];

static uint32_t poll(void *func_hdl, uint32_t budget) {
    struct instance *it = func_hdl;
    (void)budget;
    while (it->numbers[0] < 10) {
        ion_npkt_t *pkt;
        if (it->ion->alloc(it->ion->ctx, 60, &pkt, 1) != 1)
            break;
        it->numbers[0]++;
        // The descriptor's own buffer is remembered to be put back.
        it->numbers[1] = (uint64_t)pkt->buf;
        pkt->buf = memory - (uint8_t *)pkt;
        pkt->data_off = 0;
        pkt->len = 60;
        pkt->flags |= ION_NPKT_UP | ION_NPKT_EXT;
        pkt->owner = (uint16_t)(it->self & 0xffff);
        pkt->cell = it->cell;
        pkt->endpoint = it->endpoint;
        pkt->way.rx.mark = 0;
        pkt->way.rx.tstamp_ns = it->numbers[1];
        it->ion->tx_up(it->ion->ctx, it->self, &pkt, 1);
    }
    return 0;
}

static void tx_done(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    struct instance *it = func_hdl;
    for (uint32_t i = 0; i < n; i++) {
        pkts[i]->buf = (int64_t)pkts[i]->way.rx.tstamp_ns;
        pkts[i]->flags &= (uint16_t)~ION_NPKT_EXT;
    }
    it->ion->tx_done(it->ion->ctx, pkts, n);
    count(it, "home", n);
}

static const ion_registrant_ops_t ops = {
    .size = sizeof ops, .rx_down = release, .poll = poll, .tx_done = tx_done};

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    int32_t result = enter(ion, instance, ION_REG_PRODUCER_UP, "en", "en", NULL, &ops);
    if (result < 0)
        return result;
    struct instance *it = *instance;
    ion->wake(ion->ctx, it->self);
    return 0;
}

MODULE(ION_KIND_DRIVER, "devn-lend", init)
