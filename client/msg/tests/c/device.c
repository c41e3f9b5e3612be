/* The device of device.h, as a resource manager is written on QNX: opens of its own, and a pulse and a message to itself. */
struct open;
#define IOFUNC_OCB_T struct open
#include <sys/iofunc.h>

#include "device.h"
#include "test.h"

struct open {
    iofunc_ocb_t hdr;
    int mine;
};

static char memory[DEVICE_SIZE];
static int pulses, pulse_code, opens_made, opens_freed;

static struct open *make_open(resmgr_context_t *ctp, IOFUNC_ATTR_T *attr) {
    struct open *open = calloc(1, sizeof *open);

    CHECK(ctp->rcvid != 0 && attr != NULL);
    open->mine = 42;
    opens_made++;
    return open;
}

static void free_open(struct open *open) {
    CHECK(open->mine == 42);
    opens_freed++;
    free(open);
}

static long clamp(long nbytes, long offset) {
    long left = offset < DEVICE_SIZE ? DEVICE_SIZE - offset : 0;

    return nbytes < left ? nbytes : left;
}

/* Where a read or write takes place, and by how much the open's own offset moves. */
static int place(const void *header, uint32_t xtype, RESMGR_OCB_T *ocb, off_t *offset, int *moves) {
    *moves = (xtype & _IO_XTYPE_MASK) == _IO_XTYPE_NONE;
    if (*moves)
        *offset = ocb->hdr.offset;
    else if ((xtype & _IO_XTYPE_MASK) == _IO_XTYPE_OFFSET)
        *offset = ((const struct _xtype_offset *) ((const char *) header + sizeof(io_read_t)))->offset;
    else
        return ENOSYS;
    return *offset < 0 ? EINVAL : EOK;
}

static int on_read(resmgr_context_t *ctp, io_read_t *msg, RESMGR_OCB_T *ocb) {
    off_t offset;
    int moves, status = iofunc_read_verify(ctp, msg, &ocb->hdr, NULL);
    long nbytes;

    if (status != EOK || (status = place(msg, msg->i.xtype, ocb, &offset, &moves)) != EOK)
        return status;
    nbytes = clamp(msg->i.nbytes, offset);
    if (moves)
        ocb->hdr.offset += nbytes;
    _IO_SET_READ_NBYTES(ctp, nbytes);
    return _RESMGR_PTR(ctp, memory + (nbytes > 0 ? offset : 0), nbytes);
}

static int on_write(resmgr_context_t *ctp, io_write_t *msg, RESMGR_OCB_T *ocb) {
    off_t offset;
    int moves, nonblock, status = iofunc_write_verify(ctp, msg, &ocb->hdr, &nonblock);
    long nbytes;

    if (status != EOK || (status = place(msg, msg->i.xtype, ocb, &offset, &moves)) != EOK)
        return status;
    nbytes = clamp(msg->i.nbytes, offset);
    if (nbytes == 0 && msg->i.nbytes > 0)
        return ENOSPC;
    CHECK(resmgr_msgread(ctp, memory + offset, nbytes, sizeof msg->i + (moves ? 0 : sizeof(struct _xtype_offset))) ==
          nbytes);
    if (moves)
        ocb->hdr.offset += nbytes;
    ocb->hdr.attr->flags |= IOFUNC_ATTR_MTIME;
    _IO_SET_WRITE_NBYTES(ctp, nbytes);
    return EOK;
}

static int on_devctl(resmgr_context_t *ctp, io_devctl_t *msg, RESMGR_OCB_T *ocb) {
    int status = iofunc_devctl_default(ctp, msg, ocb);
    void *data = _DEVCTL_DATA(msg->i);
    int32_t number = 0;
    int nbytes = 0;

    if (status != _RESMGR_DEFAULT)
        return status;
    switch (msg->i.dcmd) {
    case MEMORY_CLEAR:
        memset(memory, 0, sizeof memory);
        break;
    case MEMORY_OPENS:
        number = (int32_t) ocb->hdr.attr->count;
        CHECK(opens_made - opens_freed == number);
        memcpy(data, &number, nbytes = sizeof number);
        break;
    case MEMORY_FILL:
        memset(memory, *(uint8_t *) data, sizeof memory);
        break;
    case MEMORY_DOUBLE:
        memcpy(&number, data, sizeof number);
        number *= 2;
        memcpy(data, &number, nbytes = sizeof number);
        break;
    case MEMORY_HANG:
        return _RESMGR_NOREPLY;
    default:
        return _RESMGR_DEFAULT;
    }
    memset(&msg->o, 0, sizeof msg->o);
    msg->o.ret_val = number;
    msg->o.nbytes = nbytes;
    return _RESMGR_PTR(ctp, &msg->o, sizeof msg->o + (size_t) nbytes);
}

static int on_pulse(message_context_t *ctp, int code, unsigned flags, void *handle) {
    struct _pulse *pulse = ctp->msg;

    (void) flags;
    CHECK(code == pulse->code && pulse->value.sival_int == 5 && handle == &pulses);
    pulses++;
    return 0;
}

static int on_own(message_context_t *ctp, int code, unsigned flags, void *handle) {
    (void) flags;
    CHECK(handle == memory);
    return MsgReply(ctp->rcvid, code == DEVICE_PULSE ? pulse_code : code + pulses, NULL, 0);
}

int main(void) {
    static const iofunc_funcs_t funcs = {_IOFUNC_NFUNCS, make_open, free_open};
    iofunc_mount_t mount = {.funcs = &funcs};
    resmgr_attr_t resmgr_attr = {.nparts_max = 1, .msg_max_size = 2048};
    resmgr_connect_funcs_t connect_funcs;
    resmgr_io_funcs_t io_funcs;
    iofunc_attr_t attr;
    dispatch_context_t *ctp;
    dispatch_t *dpp = dispatch_create();
    name_attach_t *other;
    int id, code, coid;

    CHECK(dpp != NULL);
    iofunc_func_init(_RESMGR_CONNECT_NFUNCS, &connect_funcs, _RESMGR_IO_NFUNCS, &io_funcs);
    io_funcs.read = on_read;
    io_funcs.write = on_write;
    io_funcs.devctl = on_devctl;
    iofunc_attr_init(&attr, S_IFREG | 0666, NULL, NULL);
    attr.nbytes = DEVICE_SIZE;
    attr.mount = &mount;
    CHECK((id = resmgr_attach(dpp, &resmgr_attr, DEVICE, _FTYPE_ANY, 0, &connect_funcs, &io_funcs, &attr)) > 0);
    FAILS(resmgr_attach(dpp, NULL, DEVICE "/../x", _FTYPE_ANY, 0, &connect_funcs, &io_funcs, &attr), EINVAL);
    FAILS(resmgr_detach(dpp, id + 1, 0), EINVAL);

    CHECK(message_attach(dpp, NULL, _IO_MAX + 1, _IO_MAX + 9, on_own, memory) == 0);
    CHECK((code = pulse_code = pulse_attach(dpp, MSG_FLAG_ALLOC_PULSE, 0, on_pulse, &pulses)) >= 0);
    FAILS(pulse_attach(dpp, 0, code, on_pulse, NULL), EBUSY);
    CHECK(pulse_attach(dpp, 0, 3, on_pulse, NULL) == 3 && pulse_detach(dpp, 3, 0) == 0);
    FAILS(pulse_detach(dpp, 3, 0), EINVAL);
    CHECK(message_attach(dpp, NULL, 5, 6, on_own, NULL) == 0 && message_detach(dpp, 5, 6, 0) == 0);
    FAILS(message_detach(dpp, 5, 6, 0), EINVAL);
    CHECK((coid = message_connect(dpp, 0)) >= 0);
    CHECK(MsgSendPulse(coid, -1, code, 5) == 0);

    CHECK((other = name_attach(dpp, DEVICE_OTHER, 0)) != NULL && other->dpp == dpp);

    CHECK((ctp = dispatch_context_alloc(dpp)) != NULL);
    CHECK(dispatch_block(ctp) == ctp && dispatch_handler(ctp) == 0 && pulses == 1);
    puts("ready");
    fflush(stdout);
    while (pulses < 2 && (ctp = dispatch_block(ctp)) != NULL)
        CHECK(dispatch_handler(ctp) == 0);
    CHECK(name_detach(other, 0) == 0);
    CHECK(resmgr_detach(dpp, id, 0) == 0);
    dispatch_context_free(ctp);
    CHECK(opens_made == opens_freed + 1);
    CHECK(dispatch_destroy(dpp) == 0);
    CHECK(opens_made == opens_freed && attr.count == 0);
    return 0;
}
