// What the modules of these tests share: one registrant an instance.

#include <errno.h>
#include <io_net/ddk.h>
#include <stdlib.h>
#include <string.h>

struct instance {
    const ion_t *ion;
    ion_reg_handle_t self;
    uint16_t cell, endpoint;
    uint64_t numbers[8];
};

static inline void count(struct instance *it, const char *name, uint64_t n) {
    ion_counter_add(it->ion->counter(it->ion->ctx, it->self, name), n);
}

static inline void release(void *it, ion_npkt_t **pkts, uint32_t n) {
    const ion_t *ion = ((struct instance *)it)->ion;
    ion->tx_done(ion->ctx, pkts, n);
}

static inline void pass_up(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    struct instance *it = func_hdl;
    it->ion->tx_up(it->ion->ctx, it->self, pkts, n);
}

static inline void pass_down(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    struct instance *it = func_hdl;
    it->ion->tx_down(it->ion->ctx, it->self, pkts, n);
}

static inline struct instance *enter(const ion_t *ion, uint32_t flags, const char *name,
                                     const char *top, const char *bottom,
                                     const ion_registrant_ops_t *ops) {
    struct instance *it = calloc(1, sizeof *it);
    it->ion = ion;
    const ion_registrant_t registrant = {
        .size = sizeof registrant,
        .flags = flags,
        .name = name,
        .top_type = top,
        .bot_type = bottom,
        .func_hdl = it,
        .ops = ops,
    };
    if (ion->reg(ion->ctx, &registrant, &it->self, &it->cell, &it->endpoint) == 0)
        return it;
    free(it);
    return NULL;
}

static inline ion_advert_t advert(struct instance *it, uint16_t endpoint, uint32_t flags) {
    ion_advert_t advert = {
        .size = sizeof advert, .cell = it->cell, .endpoint = endpoint, .mtu = 1500, .flags = flags};
    return advert;
}

#define MODULE(the_kind, the_name)                                                                 \
    const ion_module_t io_net_module = {                                                           \
        .size = sizeof io_net_module,                                                              \
        .abi_major = ION_ABI_MAJOR,                                                                \
        .abi_minor = ION_ABI_MINOR,                                                                \
        .kind = the_kind,                                                                          \
        .name = the_name,                                                                          \
        .version = "1",                                                                            \
        .summary = "a module for tests",                                                           \
        .init = init,                                                                              \
        .shutdown = free,                                                                          \
    };
