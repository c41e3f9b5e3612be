// Keeps every packet that it sees until the pool is dry; gives them back at quiesce.
#include "module.h"

static ion_npkt_t *kept[4096];
static uint32_t n_kept;

static void rx_up(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    memcpy(kept + n_kept, pkts, n * sizeof *pkts);
    n_kept += n;
    count(func_hdl, "kept", n);
}

static void quiesce(void *func_hdl) { release(func_hdl, kept, n_kept); }

static const ion_registrant_ops_t ops = {.size = sizeof ops, .rx_up = rx_up, .quiesce = quiesce};

static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    n_kept = 0;
    return protocol(ion, instance, "greedy", "en", &ops);
}

MODULE(ION_KIND_PROTOCOL, "npm-greedy", init)
