// A converter above another converter that changes nothing.
#include "module.h"

static void dl_advert(void *func_hdl, const ion_advert_t *below) {
    struct instance *it = func_hdl;
    ion_advert_t above = advert(it, below->endpoint, below->flags);
    it->ion->dl_advert(it->ion->ctx, it->self, &above);
}

static const ion_registrant_ops_t ops = {
    .size = sizeof ops, .rx_up = pass_up, .rx_down = pass_down, .dl_advert = dl_advert};

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    int32_t result = enter(ion, instance, ION_REG_CONVERTER, "high_tst", "high", "tst", &ops);
    if (result < 0)
        return result;
    struct instance *it = *instance;
    const uint8_t ethertype[] = {0x88, 0xb5};
    return ion->reg_byte_pat(ion->ctx, it->self, 12, ethertype, 2, 0);
}

MODULE(ION_KIND_CONVERTER, "ncm-high-tst", init)
