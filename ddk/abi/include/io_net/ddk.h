// The Network DDK's C interface: what io-net and its modules say to each other.
// Generated from ddk/abi by `cargo xtask header`; do not edit.

#ifndef IO_NET_DDK_H
#define IO_NET_DDK_H

#include <stddef.h>
#include <stdint.h>
#if defined(__GNUC__)
#define ION_ALIGNED(n) __attribute__((aligned(n)))
#else
#error "ddk.h needs a compiler with GNU attributes"
#endif

// A change of this number breaks every built module.
#define ION_ABI_MAJOR 1

// A change of this number only appends.
#define ION_ABI_MINOR 1

// `ion_advert_t.caps`: the driver completes checksums (`ION_VNET_NEEDS_CSUM`).
#define ION_CAP_CSUM 1

// `ion_advert_t.caps`: the driver cuts TCP segments over IPv4.
#define ION_CAP_TSO4 2

// `ion_advert_t.caps`: the driver cuts TCP segments over IPv6.
#define ION_CAP_TSO6 4

// `ion_advert_t.caps`: the driver cuts runs of UDP datagrams.
#define ION_CAP_USO 8

// `ion_advert_t.caps`: the interface takes multicast.
#define ION_CAP_MULTICAST 16

// `ion_advert_t.flags`: the link is up.
#define ION_ADVERT_LINK_UP 1

// `ion_advert_t.flags`: the interface is going away; it must not be used after the call.
#define ION_ADVERT_DYING 2

// Set promiscuous mode: a `uint32_t`, 0 or 1.
#define ION_DEVCTL_PROMISCUOUS 12

// Read `ion_nic_config_t`.
#define ION_DEVCTL_GET_CONFIG 21

// Read `ion_nic_stats_t`.
#define ION_DEVCTL_GET_STATS 22

// Read the link state: a `uint32_t`, 0 down, 1 up.
#define ION_DEVCTL_LINK_STATE 25

// A request in JSON text, answered in JSON text, both UTF-8: for commands of a module's own.
#define ION_DEVCTL_JSON 256

// Bytes of buffer that io-net gives a `devctl` call, at the least.
#define ION_DEVCTL_BUF 65536

// `ion_nic_config_t.flags`: takes multicast.
#define ION_NIC_MULTICAST 512

// `ion_nic_config_t.flags`: promiscuous.
#define ION_NIC_PROMISCUOUS 1024

// `ion_nic_config_t.flags`: takes broadcast.
#define ION_NIC_BROADCAST 2048

// `ion_nic_config_t.flags`: the link is down.
#define ION_NIC_LINK_DOWN 8192

// `ion_t.log` levels, in syslog's order.
#define ION_LOG_ERROR 3

// Something is wrong, and io-net goes on.
#define ION_LOG_WARNING 4

// What an operator wants to see once.
#define ION_LOG_INFO 6

// Only with `-v`.
#define ION_LOG_DEBUG 7

// `ion_t.reg_byte_pat`: every up packet matches; `offset` and `len` are ignored.
#define ION_BYTE_PAT_ALL 1

// `ion_msg_head_t.kind`: the addresses that a protocol has on an interface, all of them; down. The
// packet's endpoint names the interface. Each replaces the one before. A protocol sends it when
// they change and after each advert of the interface, so that a converter that has come later
// knows them too. `ion_msg_address_t`es follow.
#define ION_MSG_ADDRESSES 1

// `ion_module_t.kind` of a driver, `devn-`.
#define ION_KIND_DRIVER 1

// `ion_module_t.kind` of a filter, `nfm-`.
#define ION_KIND_FILTER 2

// `ion_module_t.kind` of a converter, `ncm-`.
#define ION_KIND_CONVERTER 3

// `ion_module_t.kind` of a protocol, `npm-`.
#define ION_KIND_PROTOCOL 4

// `ion_option_spec_t.kind`: present or absent, no value.
#define ION_OPT_FLAG 0

// `ion_option_spec_t.kind`: an unsigned number, decimal or 0x-hexadecimal.
#define ION_OPT_NUMBER 1

// `ion_option_spec_t.kind`: any text without a comma.
#define ION_OPT_TEXT 2

// `ion_option_spec_t.kind`: six bytes in hexadecimal, with colons or none.
#define ION_OPT_MAC 3

// `ion_option_spec_t.kind`: a dotted IPv4 address, with `/prefix` or none.
#define ION_OPT_IPV4 4

// Packets handed on in one call, at most.
#define ION_BURST_MAX 256

// Bytes a fresh packet leaves free before its data, for headers that lower layers prepend.
#define ION_HEADROOM 128

// `ion_npkt_t.flags`: travels toward programs; else toward the wire.
#define ION_NPKT_UP 1

// `ion_npkt_t.flags`: the link-layer destination was broadcast.
#define ION_NPKT_BCAST 2

// `ion_npkt_t.flags`: the link-layer destination was multicast.
#define ION_NPKT_MCAST 4

// `ion_npkt_t.flags`: seen only because the adaptor is promiscuous.
#define ION_NPKT_PROMISC 8

// `ion_npkt_t.flags`: `vlan_tci` holds a tag that is not in the frame.
#define ION_NPKT_VLAN 16

// `ion_npkt_t.flags`: the buffer belongs to registrant `owner`, which gets it back by `tx_done`.
#define ION_NPKT_EXT 32

// `ion_npkt_t.flags`: the buffer must not be written, whatever the reference count.
#define ION_NPKT_READONLY 64

// `ion_npkt_t.flags`: `rx.tstamp_ns` is set.
#define ION_NPKT_TSTAMP 128

// `ion_npkt_t.flags`: `rx.hash` is set.
#define ION_NPKT_HASH 256

// `ion_npkt_t.flags`: `next_hop` is set, and is an IPv4 address in its first four bytes.
#define ION_NPKT_NEXT_HOP4 512

// `ion_npkt_t.flags`: `next_hop` is set, and is an IPv6 address.
#define ION_NPKT_NEXT_HOP6 1024

// `ion_npkt_t.flags`: a message between registrants, such as `ION_MSG_ADDRESSES`, not data.
#define ION_NPKT_MSG 2048

// `ion_npkt_t.flags`: `next_hop` is set, and is a link-layer address in its first bytes: of a down
// packet where it goes, of an up packet where it came from.
#define ION_NPKT_LINK_ADDR 4096

// `ion_vnet_hdr_t.flags`: the checksum field holds the pseudo-header sum; the rest is to be added.
#define ION_VNET_NEEDS_CSUM 1

// `ion_vnet_hdr_t.flags`: the checksum has been verified.
#define ION_VNET_DATA_VALID 2

// `ion_vnet_hdr_t.gso_type`: one wire packet.
#define ION_GSO_NONE 0

// `ion_vnet_hdr_t.gso_type`: a TCP segment over IPv4 to be cut into `gso_size` pieces.
#define ION_GSO_TCPV4 1

// `ion_vnet_hdr_t.gso_type`: a TCP segment over IPv6.
#define ION_GSO_TCPV6 4

// `ion_vnet_hdr_t.gso_type`: a run of UDP datagrams of `gso_size` bytes each.
#define ION_GSO_UDP_L4 5

// `ion_vnet_hdr_t.gso_type`, or-ed: TCP with ECN CWR on the first piece only.
#define ION_GSO_ECN 128

// `ion_registrant_t.flags`: sees packets above an up-producer.
#define ION_REG_FILTER_ABOVE 1

// `ion_registrant_t.flags`: sees packets below a down-producer.
#define ION_REG_FILTER_BELOW 2

// `ion_registrant_t.flags`: joins its bottom type to its top type.
#define ION_REG_CONVERTER 4

// `ion_registrant_t.flags`: a driver: makes up packets of its top type, has no bottom.
#define ION_REG_PRODUCER_UP 8

// `ion_registrant_t.flags`: a protocol: makes down packets of its bottom type, has no top.
#define ION_REG_PRODUCER_DOWN 16

// The state of one interface at one layer.
typedef struct ion_advert_t {
    // `sizeof` this structure where the module was built.
    uint32_t size;
    // `ION_ADVERT_*`.
    uint32_t flags;
    // The layer, as in `ion_npkt_t.cell`.
    uint16_t cell;
    // The interface.
    uint16_t endpoint;
    // Sub-interface.
    uint16_t iface;
    // Bytes used of `mac`.
    uint16_t mac_len;
    // Largest packet at this layer, in bytes; at layer `en` without the Ethernet header.
    uint32_t mtu;
    // Largest super-segment that may be sent, in bytes, where a `ION_CAP_TSO*` or `ION_CAP_USO` is set.
    uint32_t gso_max;
    // `ION_CAP_*`.
    uint32_t caps;
    // 0.
    uint32_t reserved;
    // Present link-layer address.
    uint8_t mac[8];
    // Name of the interface (`en0`), NUL-padded.
    uint8_t name[16];
    // Type of the packets at this layer (`en`, `ip`), NUL-padded.
    uint8_t up_type[8];
} ion_advert_t;

// What an adaptor is, as `nicinfo` shows it.
typedef struct ion_nic_config_t {
    // `ION_NIC_*`.
    uint32_t flags;
    // Largest transmittable unit with the Ethernet header, bytes.
    uint32_t mtu;
    // Largest receivable unit with the Ethernet header, bytes.
    uint32_t mru;
    // Number of the interface (the 0 of `en0`).
    uint32_t lan;
    // Media rate in kbit/s; `UINT32_MAX` where unknown.
    uint32_t media_rate;
    // 1 full, 0 half, -1 unknown.
    int32_t duplex;
    // Transmit and receive queues in use.
    uint32_t queues;
    // Bytes used of the addresses.
    uint32_t mac_length;
    // Address the adaptor was made with.
    uint8_t permanent_address[8];
    // Address in use.
    uint8_t current_address[8];
    // First I/O port or 0.
    uint64_t io_port;
    // Interrupt, or -1.
    int32_t irq;
    // 0.
    uint32_t reserved;
    // What it is, NUL-padded.
    uint8_t device_description[64];
    // Type above (`en`), NUL-padded.
    uint8_t uptype[16];
} ion_nic_config_t;

// What an adaptor has done. Counters a driver cannot tell stay 0 with their `valid` bit clear.
typedef struct ion_nic_stats_t {
    // Bit n set: the n-th counter after `octets_rxed_ok` is kept.
    uint64_t valid;
    // Packets sent.
    uint64_t txed_ok;
    // Packets received.
    uint64_t rxed_ok;
    // Bytes sent, Ethernet headers included.
    uint64_t octets_txed_ok;
    // Bytes received, Ethernet headers included.
    uint64_t octets_rxed_ok;
    // Broadcasts sent (bit 0).
    uint64_t txed_broadcast;
    // Broadcasts received (bit 1).
    uint64_t rxed_broadcast;
    // Multicasts sent (bit 2).
    uint64_t txed_multicast;
    // Multicasts received (bit 3).
    uint64_t rxed_multicast;
    // Packets not sent for want of a buffer or of room (bit 4).
    uint64_t tx_failed_allocs;
    // Packets not received for want of a buffer (bit 5).
    uint64_t rx_failed_allocs;
    // Frames received with errors (bit 6).
    uint64_t rx_errors;
    // Frames that could not be sent (bit 7).
    uint64_t tx_errors;
} ion_nic_stats_t;

// Text that is borrowed for the length of a call: UTF-8, not NUL-terminated.
typedef struct ion_text_t {
    // First byte; may be null where `len` is 0.
    const uint8_t *ptr;
    // Bytes.
    size_t len;
} ion_text_t;

// A registrant in the graph. Handles are not reused while io-net runs.
typedef uint32_t ion_reg_handle_t;

// Where the packet memory is, for drivers that hand it to hardware or to another process.
typedef struct ion_pool_info_t {
    // First byte of the mapping: the descriptors, then the buffers.
    uint8_t *base;
    // Bytes of the mapping.
    uint64_t size;
    // memfd of the mapping. OWNERSHIP: the manager's; duplicate it to keep it.
    int32_t fd;
    // Descriptors of small buffers, first in the array.
    uint32_t n_small;
    // Descriptors of large buffers, after them.
    uint32_t n_large;
    // Bytes of a small buffer.
    uint32_t small_size;
    // Bytes of a large buffer.
    uint32_t large_size;
    // Offset in the mapping of the first small buffer.
    uint64_t small_off;
    // Offset in the mapping of the first large buffer.
    uint64_t large_off;
} ion_pool_info_t;

// Checksum and segmentation metadata: the fields of virtio's `virtio_net_hdr`, native endian,
// with its meaning to the letter (Virtio 1.2, section 5.1.6).
typedef struct ion_vnet_hdr_t {
    // `ION_VNET_*` bits.
    uint8_t flags;
    // `ION_GSO_*`.
    uint8_t gso_type;
    // Bytes of headers before the payload that is cut, where `gso_type` is set.
    uint16_t hdr_len;
    // Payload bytes in a piece.
    uint16_t gso_size;
    // Where checksumming starts, from the first byte of the packet's data.
    uint16_t csum_start;
    // Where the sum goes, from `csum_start`.
    uint16_t csum_offset;
} ion_vnet_hdr_t;

// What the receiving side knows of an up packet.
typedef struct ion_npkt_rx_t {
    // Nanoseconds of `CLOCK_REALTIME` at which the frame arrived.
    uint64_t tstamp_ns;
    // Flow hash.
    uint32_t hash;
    // For the modules' free use on the way up.
    uint32_t mark;
} ion_npkt_rx_t;

// The part of a descriptor whose meaning depends on the packet's direction.
typedef union ion_npkt_way_t {
    // Up packets.
    struct ion_npkt_rx_t rx;
    // Down packets of a network-layer type: the neighbour to send to. Up packets with
    // `ION_NPKT_LINK_ADDR`: the neighbour that sent.
    uint8_t next_hop[16];
} ion_npkt_way_t;

// A packet descriptor: one cache line, in an array of its own, so that a burst's descriptors
// lie side by side whatever the buffers' size.
//
// Descriptors and buffers are one mapping, and every distance is relative: the same bytes are
// valid in any process that maps the pool.
typedef struct ION_ALIGNED(64) ion_npkt_t {
    // Distance from this descriptor to its buffer, in bytes.
    int64_t buf;
    // First byte of data, from the buffer's start.
    uint32_t data_off;
    // Bytes of data in this fragment.
    uint32_t len;
    // Distance to the next fragment's descriptor, in descriptors; 0 in the last.
    int32_t next;
    // References held; the packet may be written only where it is 1.
    uint32_t refs;
    // `ION_NPKT_*` bits.
    uint16_t flags;
    // Registrant that owns the buffer of an `ION_NPKT_EXT` packet.
    uint16_t owner;
    // The buffer's length, in units of 64 bytes.
    uint16_t buf_units;
    // The packet type at its present layer, as a number that io-net gave (`en`, `ip`, ...).
    uint16_t cell;
    // The interface it came from or goes to.
    uint16_t endpoint;
    // Sub-interface, 0 where there is none.
    uint16_t iface;
    // IEEE 802.1Q tag control information, where `ION_NPKT_VLAN` is set.
    uint16_t vlan_tci;
    // Offloads asked for or done.
    struct ion_vnet_hdr_t vnet;
    // Direction-dependent metadata.
    union ion_npkt_way_t way;
} ion_npkt_t;

// What io-net calls on a registrant; any may be null where it does not apply.
//
// THREAD: all on the registrant's home worker, one at a time; never re-entered, even when a
// packet that it sends comes back to it.
// OWNERSHIP: `rx_up` and `rx_down` own every packet they are given; the array itself is borrowed.
typedef struct ion_registrant_ops_t {
    // `sizeof` this structure where the module was built.
    uint32_t size;
    // 0.
    uint32_t reserved;
    // Packets on their way up reach this registrant (filters, converters, protocols).
    void (*rx_up)(void *func_hdl, struct ion_npkt_t **pkts, uint32_t n);
    // Packets on their way down reach this registrant (drivers, filters, converters).
    void (*rx_down)(void *func_hdl, struct ion_npkt_t **pkts, uint32_t n);
    // The last references to `ION_NPKT_EXT` packets of this registrant have gone: the buffers are
    // its own again, and so are the descriptors, to reuse or to release.
    void (*tx_done)(void *func_hdl, struct ion_npkt_t **pkts, uint32_t n);
    // Called over and over while the worker is busy, where `ion_t.poller` asked for it:
    // take what has arrived, up to `budget` packets, and pass it on.
    // Returns how much work there was; 0 lets the worker go to sleep.
    uint32_t (*poll)(void *func_hdl, uint32_t budget);
    // A poller's worker is about to sleep (`sleeping` 1) or has woken (0): ask the peer to ring,
    // or to stop ringing, then look again. Returns non-zero where work is there: no sleep then.
    int32_t (*arm)(void *func_hdl, uint32_t sleeping);
    // A watched descriptor is ready. `events` are epoll's bits. Level-triggered.
    // Returns non-zero where there may be more to do at once.
    int32_t (*event)(void *func_hdl, uint64_t cookie, uint32_t events);
    // A timer has run out. `now_ns` is `CLOCK_MONOTONIC`.
    void (*timer)(void *func_hdl, uint32_t id, uint64_t now_ns);
    // An interface below (or above) came up, changed or is going. Duplicates are to be borne.
    // OWNERSHIP: `advert` is borrowed for the call.
    void (*dl_advert)(void *func_hdl, const struct ion_advert_t *advert);
    // An out-of-band call. Reads and writes `data` in place, up to `size` bytes, and returns how
    // many of them are the answer, or a negative errno (`-EOPNOTSUPP` for an unknown `cmd`).
    int32_t (*devctl)(void *func_hdl, uint32_t cmd, void *data, uint32_t size, uint32_t len);
    // The registrant is leaving the graph: give back every packet that is kept, cancel what is
    // under way, pass nothing on after returning. A driver stops receiving. Only `tx_done` may be
    // called afterwards, while others still hold packets over the registrant's own memory.
    void (*quiesce)(void *func_hdl);
    // Reserved for handing state to a new version of the module. Null.
    int32_t (*save)(void *func_hdl, int32_t fd);
    // Reserved, as `save`. Null.
    int32_t (*restore)(void *func_hdl, int32_t fd);
} ion_registrant_ops_t;

// What a module tells of a registrant.
typedef struct ion_registrant_t {
    // `sizeof` this structure where the module was built.
    uint32_t size;
    // `ION_REG_*`.
    uint32_t flags;
    // Name in the graph, NUL-terminated. A driver gives the stem (`en`), and io-net appends the
    // first free number or the one that the option `lan=` asks for; a stem that ends in a number
    // (`en0.10`) is the whole name.
    const char *name;
    // Type of the packets above, NUL-terminated, or null.
    const char *top_type;
    // Type of the packets below, NUL-terminated, or null.
    const char *bot_type;
    // First argument of every call in `ops`.
    void *func_hdl;
    // OWNERSHIP: static; outlives the registrant.
    const struct ion_registrant_ops_t *ops;
} ion_registrant_t;

// io-net's side of the boundary, one table for each module instance.
//
// THREAD: `log`, `fail`, `now_ns`, `alloc`, `tx_done` and `wake` from any thread. `tx_up` and
// `tx_down` inside an operation, on the worker that runs it. The rest there too, or inside `init`.
typedef struct ion_t {
    // `sizeof` this structure in io-net.
    uint32_t size;
    // `ION_ABI_MAJOR` of io-net.
    uint16_t abi_major;
    // `ION_ABI_MINOR` of io-net.
    uint16_t abi_minor;
    // First argument of every call; the instance's identity within io-net.
    void *ctx;
    // Passes packets on upward from `reg`. OWNERSHIP: all `n` packets are io-net's on return.
    void (*tx_up)(void *ctx, ion_reg_handle_t reg, struct ion_npkt_t **pkts, uint32_t n);
    // Passes packets on downward from `reg`. OWNERSHIP: as `tx_up`.
    void (*tx_down)(void *ctx, ion_reg_handle_t reg, struct ion_npkt_t **pkts, uint32_t n);
    // Releases one reference to each packet (and to its chained fragments). `ctx` may be null.
    void (*tx_done)(void *ctx, struct ion_npkt_t **pkts, uint32_t n);
    // Allocates up to `n` packets that hold `size` bytes beside `ION_HEADROOM`. Each comes
    // with one reference, no data (`len` 0, `data_off` `ION_HEADROOM` or more) and clear metadata.
    // Returns how many: fewer than `n` where the pool is exhausted, 0 where `size` is too large.
    // `ctx` may be null. Off the workers it works too, slower.
    uint32_t (*alloc)(void *ctx, uint32_t size, struct ion_npkt_t **pkts, uint32_t n);
    // `CLOCK_MONOTONIC` in nanoseconds; cheap.
    uint64_t (*now_ns)(void *ctx);
    // Says something to the operator.
    void (*log)(void *ctx, uint32_t level, struct ion_text_t text);
    // Says why `init` is about to return `-code`, an errno: what, why and what to do.
    void (*fail)(void *ctx, int32_t code, struct ion_text_t text);
    // Enters a registrant into the graph; it takes effect when `init` returns 0. Fills `reg`, and
    // `cell` and `endpoint` where it is a producer up. Returns 0 or a negative errno
    // (`-EEXIST`: the name is taken).
    int32_t (*reg)(void *ctx,
                   const struct ion_registrant_t *registrant,
                   ion_reg_handle_t *reg,
                   uint16_t *cell,
                   uint16_t *endpoint);
    // Asks for the up packets whose bytes at `offset` are `pat[..len]`, or with
    // `ION_BYTE_PAT_ALL` for all. Of a converter or protocol. `len` is 16 at most.
    int32_t (*reg_byte_pat)(void *ctx,
                            ion_reg_handle_t reg,
                            uint32_t offset,
                            const uint8_t *pat,
                            uint32_t len,
                            uint32_t flags);
    // Tells the layers above of an interface. `advert.cell` and `endpoint` name it. io-net keeps
    // the newest and gives it to those who come later.
    int32_t (*dl_advert)(void *ctx, ion_reg_handle_t reg, const struct ion_advert_t *advert);
    // A counter with a name, made at the first call. Only the registrant's home worker adds to
    // it; anybody reads it. OWNERSHIP: io-net's; valid until `shutdown` returns.
    const uint64_t *(*counter)(void *ctx, ion_reg_handle_t reg, const char *name);
    // Calls `timer` at `deadline_ns` of `CLOCK_MONOTONIC`, once; 0 cancels. Ids below 16.
    int32_t (*timer)(void *ctx, ion_reg_handle_t reg, uint32_t id, uint64_t deadline_ns);
    // Watches `fd` for epoll's `events` (0: no longer), calling `event` with `cookie`.
    // OWNERSHIP: the module's; stop watching before closing it.
    int32_t (*watch)(void *ctx, ion_reg_handle_t reg, int32_t fd, uint32_t events, uint64_t cookie);
    // Turns the calling of `poll` and `arm` on (1) or off (0).
    int32_t (*poller)(void *ctx, ion_reg_handle_t reg, uint32_t on);
    // Makes the home worker of `reg` call `poll` soon, from any thread.
    void (*wake)(void *ctx, ion_reg_handle_t reg);
    // Fills `info`.
    void (*pool_info)(void *ctx, struct ion_pool_info_t *info);
    // The directory where this io-net keeps its sockets (`/run/io-net`). Static text.
    struct ion_text_t (*run_dir)(void *ctx);
    // Says what the present operation leads to: more work within `within_ns`, from another
    // processor, so that a worker with nothing else to do had better keep its own; or with 0 work
    // for whoever waits for this processor. A hint; without it io-net guesses. Since 1.1.
    void (*expect)(void *ctx, uint32_t within_ns);
} ion_t;

// How a message begins.
typedef struct ion_msg_head_t {
    // `ION_MSG_*`.
    uint32_t kind;
    // Structures that follow.
    uint32_t count;
} ion_msg_head_t;

// An address of an interface.
typedef struct ion_msg_address_t {
    // 4 or 6: the version of IP.
    uint16_t version;
    // Bits of the network part.
    uint16_t prefix;
    // The address, in its first 4 or all 16 bytes.
    uint8_t address[16];
} ion_msg_address_t;

// One option that a module takes. The manager refuses unknown names and malformed values
// before `ion_module_t.init` is called, and makes its usage text from these.
typedef struct ion_option_spec_t {
    // Name before the `=`, NUL-terminated.
    const char *name;
    // `ION_OPT_*`.
    uint32_t kind;
    // Non-zero where the option may be given more than once.
    uint32_t repeatable;
    // One line for the usage text, NUL-terminated.
    const char *help;
} ion_option_spec_t;

// A module's description of itself. It is static: it outlives every instance.
typedef struct ion_module_t {
    // `sizeof` this structure where the module was built.
    uint32_t size;
    // `ION_ABI_MAJOR` where the module was built; another is refused.
    uint16_t abi_major;
    // `ION_ABI_MINOR` where the module was built; a greater one than io-net's is refused.
    uint16_t abi_minor;
    // `ION_KIND_*`.
    uint32_t kind;
    // Length of `options`.
    uint32_t n_options;
    // Name with its prefix (`devn-tap`), NUL-terminated.
    const char *name;
    // Version of the module, NUL-terminated.
    const char *version;
    // What it is, in one line, NUL-terminated.
    const char *summary;
    // The options it takes.
    const struct ion_option_spec_t *options;
    // Makes an instance: parses `options` (`key=value,key`), opens the device, registers.
    //
    // Runs on the control thread; nothing is delivered before it has returned. On success it
    // stores the instance and returns 0. On failure it has undone all it did, has said why
    // through `ion_t.fail`, and returns a negative errno.
    // OWNERSHIP: `ion` outlives the instance; `options` is borrowed for the call.
    int32_t (*init)(const struct ion_t *ion, struct ion_text_t options, void **instance);
    // Ends an instance: closes the device and frees it. Every registrant has been quiesced and
    // taken out of the graph; no other call of the instance runs or will.
    // Runs on the control thread.
    void (*shutdown)(void *instance);
} ion_module_t;

#endif  /* IO_NET_DDK_H */


// Helpers for modules in C.

#ifdef __cplusplus
extern "C" {
#endif

// The one symbol that a module exports.
__attribute__((visibility("default"))) extern const ion_module_t io_net_module;

// First byte of the packet's data in this fragment.
static inline uint8_t *ion_npkt_data(ion_npkt_t *pkt) {
    return (uint8_t *)pkt + pkt->buf + pkt->data_off;
}

// The next fragment, or NULL.
static inline ion_npkt_t *ion_npkt_next(ion_npkt_t *pkt) {
    return pkt->next != 0 ? pkt + pkt->next : NULL;
}

// Bytes of data in all fragments.
static inline uint64_t ion_npkt_total_len(const ion_npkt_t *pkt) {
    uint64_t total = pkt->len;
    while (pkt->next != 0) {
        pkt += pkt->next;
        total += pkt->len;
    }
    return total;
}

// Bytes of the buffer.
static inline uint32_t ion_npkt_buf_len(const ion_npkt_t *pkt) {
    return (uint32_t)pkt->buf_units * 64u;
}

// Bytes that may be put before the data.
static inline uint32_t ion_npkt_headroom(const ion_npkt_t *pkt) {
    return pkt->data_off;
}

// Bytes that may be put after the data.
static inline uint32_t ion_npkt_tailroom(const ion_npkt_t *pkt) {
    return ion_npkt_buf_len(pkt) - pkt->data_off - pkt->len;
}

// Non-zero where the caller is the only owner and may write the packet's bytes.
static inline int ion_npkt_writable(const ion_npkt_t *pkt) {
    return (pkt->flags & ION_NPKT_READONLY) == 0 &&
           __atomic_load_n(&pkt->refs, __ATOMIC_ACQUIRE) == 1;
}

// Adds to a counter that ion_t.counter gave. Its home worker is the only writer, so a plain
// read and an atomic store do.
static inline void ion_counter_add(const uint64_t *counter, uint64_t n) {
    uint64_t *word = (uint64_t *)(uintptr_t)counter;
    __atomic_store_n(word, *word + n, __ATOMIC_RELAXED);
}

// Text out of a string that is NUL-terminated.
static inline ion_text_t ion_text(const char *s) {
    ion_text_t text;
    text.ptr = (const uint8_t *)s;
    text.len = 0;
    while (s[text.len] != '\0') {
        text.len++;
    }
    return text;
}

#ifdef __cplusplus
}  // extern "C"
#endif

