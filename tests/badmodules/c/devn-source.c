// A sound driver: sends a few frames upward each millisecond, so that others have packets to
// mishandle.
#include "module.h"

#define MS 1000000u

static const uint8_t frame[60] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5,
};

static void again(struct instance *it, uint64_t now_ns) {
    it->ion->timer(it->ion->ctx, it->self, 0, now_ns + MS);
}

static void timer(void *func_hdl, uint32_t id, uint64_t now_ns) {
    struct instance *it = func_hdl;
    (void)id;
    ion_npkt_t *pkts[8];
    uint32_t n = it->ion->alloc(it->ion->ctx, sizeof frame, pkts, 8);
    for (uint32_t i = 0; i < n; i++) {
        pkts[i]->flags |= ION_NPKT_UP | ION_NPKT_BCAST;
        pkts[i]->cell = it->cell;
        pkts[i]->endpoint = it->endpoint;
        pkts[i]->len = sizeof frame;
        memcpy(ion_npkt_data(pkts[i]), frame, sizeof frame);
    }
    if (n > 0)
        pass_up(it, pkts, n);
    count(it, "sent", n);
    again(it, now_ns);
}

static const ion_registrant_ops_t ops = {.size = sizeof ops, .rx_down = release, .timer = timer};

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    int32_t result = enter(ion, instance, ION_REG_PRODUCER_UP, "en", "en", NULL, &ops);
    if (result >= 0)
        again(*instance, ion->now_ns(ion->ctx));
    return result;
}

MODULE(ION_KIND_DRIVER, "devn-source", init)
