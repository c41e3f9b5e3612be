// A filter that breaks the rules of ownership, one at a time: the first byte of a packet says how.
// It is what the testkit's ledger is tried with.

#include <io_net/ddk.h>

#include <stddef.h>

static const ion_t *ion;
static ion_reg_handle_t reg;
static ion_npkt_t *kept;

static void rx(ion_npkt_t *pkt) {
    ion_npkt_t *again = pkt;
    switch (ion_npkt_data(pkt)[0]) {
    case 'd':  // released twice
        ion->tx_done(ion->ctx, &pkt, 1);
        ion->tx_done(ion->ctx, &again, 1);
        break;
    case 'h':  // handed on, then released
        ion->tx_up(ion->ctx, reg, &pkt, 1);
        ion->tx_done(ion->ctx, &again, 1);
        break;
    case 't':  // handed on twice
        ion->tx_up(ion->ctx, reg, &pkt, 1);
        ion->tx_up(ion->ctx, reg, &again, 1);
        break;
    case 'w':  // written after it was handed on
        ion->tx_up(ion->ctx, reg, &pkt, 1);
        ion_npkt_data(again)[1] ^= 1;
        break;
    case 'l':  // forgotten
        break;
    case 'k':  // kept beyond quiesce, in a variable
        kept = pkt;
        break;
    case 'o':  // data beyond the buffer
        pkt->len = ion_npkt_buf_len(pkt);
        ion->tx_up(ion->ctx, reg, &pkt, 1);
        pkt->len = 1;
        ion->tx_done(ion->ctx, &pkt, 1);
        break;
    case 'r':  // no packet at all
        again = (ion_npkt_t *)&reg;
        ion->tx_done(ion->ctx, &again, 1);
        ion->tx_done(ion->ctx, &pkt, 1);
        break;
    default:
        ion->tx_up(ion->ctx, reg, &pkt, 1);
    }
}

static void careless_rx_up(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    (void)func_hdl;
    for (uint32_t i = 0; i < n; i++) {
        rx(pkts[i]);
    }
}

static const ion_registrant_ops_t OPS = {.size = sizeof OPS, .rx_up = careless_rx_up};

static int32_t careless_init(const ion_t *table, ion_text_t options, void **instance) {
    (void)options;
    ion = table;
    kept = NULL;
    *instance = &kept;
    ion_registrant_t registrant = {
        .size = sizeof registrant, .flags = ION_REG_FILTER_ABOVE, .name = "careless", .ops = &OPS,
    };
    return ion->reg(ion->ctx, &registrant, &reg, NULL, NULL);
}

static void careless_shutdown(void *instance) {
    (void)instance;
}

const ion_module_t io_net_module = {
    .size = sizeof(ion_module_t),
    .abi_major = ION_ABI_MAJOR,
    .abi_minor = ION_ABI_MINOR,
    .kind = ION_KIND_FILTER,
    .name = "nfm-careless",
    .version = "1.0",
    .summary = "Breaks the rules of ownership",
    .init = careless_init,
    .shutdown = careless_shutdown,
};
