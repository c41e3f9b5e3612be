// A protocol that counts the frames of interface 0 and those that are missing among them or out of
// order.
#include "module.h"

static void rx_up(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    struct instance *it = func_hdl;
    uint64_t got = 0, wrong = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (pkts[i]->endpoint != 0)
            continue;
        uint64_t number;
        memcpy(&number, (uint8_t *)ion_npkt_data(pkts[i]) + 14, 8);
        wrong += it->numbers[1] && number != it->numbers[0] + 1;
        it->numbers[0] = number;
        it->numbers[1] = 1;
        got++;
    }
    count(it, "got", got);
    count(it, "wrong", wrong);
    release(it, pkts, n);
}

static void dl_advert(void *func_hdl, const ion_advert_t *below) {
    count(func_hdl, below->flags & ION_ADVERT_DYING ? "dying" : "adverts", 1);
}

static const ion_registrant_ops_t ops = {
    .size = sizeof ops, .rx_up = rx_up, .dl_advert = dl_advert};

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    return protocol(ion, instance, "order", "tst", &ops);
}

MODULE(ION_KIND_PROTOCOL, "npm-order", init)
