// A driver in C, of the smallest useful kind: what goes down comes back up.
//
// It is written against io_net/ddk.h alone. Everything runs on one worker, one call at a time, so
// there are no locks. With `dead`, nothing comes back: what goes down is released and counted.

#include <io_net/ddk.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct sample {
    const ion_t *ion;
    ion_reg_handle_t reg;
    uint16_t cell;
    uint16_t endpoint;
    int dead;
    uint32_t mtu;
    const uint64_t *looped;
    const uint64_t *dropped;
} sample_t;

// A copy of a packet that others hold too and that may therefore not be written.
static ion_npkt_t *copy_of(const ion_t *ion, ion_npkt_t *pkt) {
    uint64_t len = ion_npkt_total_len(pkt);
    ion_npkt_t *copy;
    if (len > UINT32_MAX || ion->alloc(ion->ctx, (uint32_t)len, &copy, 1) != 1) {
        return NULL;
    }
    for (ion_npkt_t *part = pkt; part != NULL; part = ion_npkt_next(part)) {
        memcpy(ion_npkt_data(copy) + copy->len, ion_npkt_data(part), part->len);
        copy->len += part->len;
    }
    copy->vnet = pkt->vnet;
    copy->vlan_tci = pkt->vlan_tci;
    copy->flags = pkt->flags & ION_NPKT_VLAN;
    return copy;
}

// OWNERSHIP: every packet in `pkts` is ours. Each goes up or is released.
static void sample_rx_down(void *func_hdl, ion_npkt_t **pkts, uint32_t n) {
    sample_t *self = func_hdl;
    const ion_t *ion = self->ion;
    ion_npkt_t *up[ION_BURST_MAX];
    ion_npkt_t *done[ION_BURST_MAX];
    uint32_t n_up = 0, n_done = 0;
    for (uint32_t i = 0; i < n; i++) {
        ion_npkt_t *pkt = pkts[i];
        if (self->dead) {
            done[n_done++] = pkt;
            continue;
        }
        if (!ion_npkt_writable(pkt)) {
            done[n_done++] = pkt;
            pkt = copy_of(ion, pkt);
            if (pkt == NULL) {
                ion_counter_add(self->dropped, 1);
                continue;
            }
        }
        // The way down is forgotten; as an up packet it comes from this interface.
        pkt->flags = (pkt->flags & ION_NPKT_VLAN) | ION_NPKT_UP;
        pkt->cell = self->cell;
        pkt->endpoint = self->endpoint;
        up[n_up++] = pkt;
    }
    if (self->dead) {
        ion_counter_add(self->dropped, n);
    }
    ion_counter_add(self->looped, n_up);
    if (n_done > 0) {
        ion->tx_done(ion->ctx, done, n_done);
    }
    if (n_up > 0) {
        ion->tx_up(ion->ctx, self->reg, up, n_up);
    }
}

static int32_t sample_devctl(void *func_hdl, uint32_t cmd, void *data, uint32_t size, uint32_t len) {
    sample_t *self = func_hdl;
    ion_nic_config_t config;
    (void)len;
    if (cmd != ION_DEVCTL_GET_CONFIG) {
        return -EOPNOTSUPP;
    }
    if (size < sizeof config) {
        return -ENOMEM;
    }
    memset(&config, 0, sizeof config);
    config.flags = ION_NIC_BROADCAST | ION_NIC_MULTICAST;
    config.mtu = config.mru = self->mtu + 14;
    config.lan = self->endpoint;
    config.media_rate = UINT32_MAX;
    config.duplex = 1;
    config.queues = 1;
    config.irq = -1;
    snprintf((char *)config.device_description, sizeof config.device_description, "loop");
    snprintf((char *)config.uptype, sizeof config.uptype, "en");
    memcpy(data, &config, sizeof config);
    return sizeof config;
}

static const ion_registrant_ops_t OPS = {
    .size = sizeof(ion_registrant_ops_t),
    .rx_down = sample_rx_down,
    .devctl = sample_devctl,
};

// io-net has held the options against the specs below: names are known, numbers are numbers.
static void parse(sample_t *self, ion_text_t options) {
    char text[256];
    size_t len = options.len < sizeof text - 1 ? options.len : sizeof text - 1;
    if (len > 0) {
        memcpy(text, options.ptr, len);
    }
    text[len] = '\0';
    char *rest;
    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        if (strcmp(word, "dead") == 0) {
            self->dead = 1;
        } else if (strncmp(word, "mtu=", 4) == 0) {
            self->mtu = (uint32_t)strtoul(word + 4, NULL, 0);
        }
    }
}

static void advertise(const sample_t *self) {
    ion_advert_t advert;
    memset(&advert, 0, sizeof advert);
    advert.size = sizeof advert;
    advert.flags = ION_ADVERT_LINK_UP;
    advert.cell = self->cell;
    advert.endpoint = self->endpoint;
    advert.mtu = self->mtu;
    advert.mac_len = 6;
    // A locally administered address.
    advert.mac[0] = 0x02;
    advert.mac[5] = (uint8_t)self->endpoint;
    snprintf((char *)advert.name, sizeof advert.name, "en%u", (unsigned)self->endpoint);
    snprintf((char *)advert.up_type, sizeof advert.up_type, "en");
    self->ion->dl_advert(self->ion->ctx, self->reg, &advert);
}

static int32_t sample_init(const ion_t *ion, ion_text_t options, void **instance) {
    sample_t *self = calloc(1, sizeof *self);
    if (self == NULL) {
        ion->fail(ion->ctx, ENOMEM, ion_text("no memory for the instance"));
        return -ENOMEM;
    }
    self->ion = ion;
    self->mtu = 1500;
    parse(self, options);
    if (self->mtu < 68 || self->mtu > 65535) {
        ion->fail(ion->ctx, EINVAL, ion_text("mtu: give a number from 68 to 65535"));
        free(self);
        return -EINVAL;
    }
    ion_registrant_t registrant = {
        .size = sizeof registrant,
        .flags = ION_REG_PRODUCER_UP,
        .name = "en",
        .top_type = "en",
        .func_hdl = self,
        .ops = &OPS,
    };
    int32_t result = ion->reg(ion->ctx, &registrant, &self->reg, &self->cell, &self->endpoint);
    if (result < 0) {
        ion->fail(ion->ctx, -result, ion_text("cannot register"));
        free(self);
        return result;
    }
    self->looped = ion->counter(ion->ctx, self->reg, "looped");
    self->dropped = ion->counter(ion->ctx, self->reg, "dropped");
    advertise(self);
    *instance = self;
    return 0;
}

static void sample_shutdown(void *instance) {
    free(instance);
}

static const ion_option_spec_t OPTIONS[] = {
    {.name = "dead", .kind = ION_OPT_FLAG, .help = "release what goes down"},
    {.name = "mtu", .kind = ION_OPT_NUMBER, .help = "bytes in a packet, 1500 unless given"},
};

const ion_module_t io_net_module = {
    .size = sizeof(ion_module_t),
    .abi_major = ION_ABI_MAJOR,
    .abi_minor = ION_ABI_MINOR,
    .kind = ION_KIND_DRIVER,
    .n_options = sizeof OPTIONS / sizeof *OPTIONS,
    .name = "devn-sample",
    .version = "1.0",
    .summary = "Loop: what goes down comes up",
    .options = OPTIONS,
    .init = sample_init,
    .shutdown = sample_shutdown,
};
