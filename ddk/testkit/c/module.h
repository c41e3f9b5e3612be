// What the C modules of tests are made of: an instance with one registrant, whose operations
// release packets or pass them on, and a description.

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

static inline void release(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    struct instance *it = func_hdl;
    it->ion->tx_done(it->ion->ctx, pkts, n);
}

static inline void pass_up(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    struct instance *it = func_hdl;
    it->ion->tx_up(it->ion->ctx, it->self, pkts, n);
}

static inline void pass_down(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    struct instance *it = func_hdl;
    it->ion->tx_down(it->ion->ctx, it->self, pkts, n);
}

// Enters the registrant and makes `*instance`; 0, or what io-net answered.
static inline int32_t enter(const ion_t *ion, void **instance, uint32_t flags, const char *name,
                            const char *top, const char *bottom, const ion_registrant_ops_t *ops) {
    struct instance *it = calloc(1, sizeof *it);
    if (it == NULL)
        return -ENOMEM;
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
    int32_t result = ion->reg(ion->ctx, &registrant, &it->self, &it->cell, &it->endpoint);
    if (result == 0)
        *instance = it;
    else
        free(it);
    return result;
}

static const ion_registrant_ops_t quiet_ops __attribute__((unused)) = {
    .size = sizeof quiet_ops,
    .rx_up = release,
    .rx_down = release,
};

// An `init`: a driver that does nothing.
static inline int32_t quiet_driver(const ion_t *ion, ion_text_t options, void **instance) {
    (void)options;
    return enter(ion, instance, ION_REG_PRODUCER_UP, "en", "en", NULL, &quiet_ops);
}

// Enters a protocol that is given every packet of type `bottom`.
static inline int32_t protocol(const ion_t *ion, void **instance, const char *name,
                               const char *bottom, const ion_registrant_ops_t *ops) {
    int32_t result = enter(ion, instance, ION_REG_PRODUCER_DOWN, name, NULL, bottom, ops);
    if (result < 0)
        return result;
    struct instance *it = *instance;
    return ion->reg_byte_pat(ion->ctx, it->self, 0, NULL, 0, ION_BYTE_PAT_ALL);
}

static inline ion_advert_t advert(struct instance *it, uint16_t endpoint, uint32_t flags) {
    ion_advert_t advert = {
        .size = sizeof advert, .cell = it->cell, .endpoint = endpoint, .mtu = 1500, .flags = flags};
    return advert;
}

// Describes the module; what follows `start` overrides the fields before.
#define MODULE(the_kind, the_name, start, ...)                                                     \
    _Pragma("GCC diagnostic push")                                                                 \
    _Pragma("GCC diagnostic ignored \"-Woverride-init\"")                                          \
    const ion_module_t io_net_module = {                                                           \
        .size = sizeof io_net_module,                                                              \
        .abi_major = ION_ABI_MAJOR,                                                                \
        .abi_minor = ION_ABI_MINOR,                                                                \
        .kind = the_kind,                                                                          \
        .name = the_name,                                                                          \
        .version = "1",                                                                            \
        .summary = "a module for tests",                                                           \
        .init = start,                                                                             \
        .shutdown = free,                                                                          \
        __VA_ARGS__};                                                                              \
    _Pragma("GCC diagnostic pop")
