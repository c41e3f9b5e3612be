// A driver that always has frames: each carries its number in the eight bytes after the ethertype.
#include "module.h"

static uint32_t poll(void *func_hdl, uint32_t budget) {
    struct instance *it = func_hdl;
    ion_npkt_t *pkts[256];
    uint32_t want = budget;
    uint32_t n = it->ion->alloc(it->ion->ctx, 60, pkts, want);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *data = ion_npkt_data(pkts[i]);
        pkts[i]->flags |= ION_NPKT_UP;
        pkts[i]->cell = it->cell;
        pkts[i]->endpoint = it->endpoint;
        pkts[i]->len = 60;
        memset(data, 0, 60);
        data[12] = 0x88, data[13] = 0xb5;
        memcpy(data + 14, &it->numbers[0], 8);
        it->numbers[0]++;
    }
    if (n > 0)
        it->ion->tx_up(it->ion->ctx, it->self, pkts, n);
    count(it, "sent", n);
    return n;
}

static const ion_registrant_ops_t ops = {.size = sizeof ops, .rx_down = release, .poll = poll};

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    int32_t result = enter(ion, instance, ION_REG_PRODUCER_UP, "en", "en", NULL, &ops);
    if (result < 0)
        return result;
    struct instance *it = *instance;
    ion_advert_t up = advert(it, it->endpoint, ION_ADVERT_LINK_UP);
    ion->dl_advert(ion->ctx, it->self, &up);
    ion->poller(ion->ctx, it->self, 1);
    return 0;
}

MODULE(ION_KIND_DRIVER, "devn-spin", init)
