// What every module here is made of: one registrant, whose operations do nothing but release
// packets, and a description. Each file spoils one thing of it.

#include <errno.h>
#include <io_net/ddk.h>
#include <string.h>

static const ion_t *ion;
static ion_reg_handle_t self;
static uint16_t cell, endpoint;

static inline int32_t fail(int32_t code, const char *why) {
    ion->fail(ion->ctx, code, ion_text(why));
    return -code;
}

static inline void count(const char *name, uint64_t n) {
    ion_counter_add(ion->counter(ion->ctx, self, name), n);
}

static inline void release(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    (void)func_hdl;
    ion->tx_done(ion->ctx, pkts, n);
}

static inline int32_t reg(uint32_t flags, const char *name, const char *top, const char *bottom,
                          const ion_registrant_ops_t *ops) {
    const ion_registrant_t registrant = {
        .size = sizeof registrant,
        .flags = flags,
        .name = name,
        .top_type = top,
        .bot_type = bottom,
        .ops = ops,
    };
    return ion->reg(ion->ctx, &registrant, &self, &cell, &endpoint);
}

static const ion_registrant_ops_t quiet_ops __attribute__((unused)) = {
    .size = sizeof quiet_ops,
    .rx_up = release,
    .rx_down = release,
};

static inline int32_t quiet_driver(const ion_t *io, ion_text_t options, void **instance) {
    (void)options, (void)instance;
    ion = io;
    return reg(ION_REG_PRODUCER_UP, "en", "en", NULL, &quiet_ops);
}

// Registers a protocol that is given every frame.
static inline int32_t protocol(const char *name, const ion_registrant_ops_t *ops) {
    int32_t result = reg(ION_REG_PRODUCER_DOWN, name, NULL, "en", ops);
    if (result < 0)
        return result;
    return ion->reg_byte_pat(ion->ctx, self, 0, NULL, 0, ION_BYTE_PAT_ALL);
}

static inline void no_shutdown(void *instance) { (void)instance; }

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
        .shutdown = no_shutdown,                                                                   \
        __VA_ARGS__};                                                                              \
    _Pragma("GCC diagnostic pop")
