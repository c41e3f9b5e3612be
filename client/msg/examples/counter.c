/*
 * A resource manager in C, as on QNX: each read of /dev/counter gives the next number.
 *
 *     cc -o counter counter.c -lio-net-msg
 */
#include <stdio.h>
#include <stdlib.h>

#include <sys/iofunc.h>

static unsigned long count;

static int counter_read(resmgr_context_t *ctp, io_read_t *msg, RESMGR_OCB_T *ocb) {
    static char text[24];
    int status = iofunc_read_verify(ctp, msg, ocb, NULL), len;

    if (status != EOK)
        return status;
    if (ocb->offset > 0)
        return EOK; /* the end of the file */
    len = snprintf(text, sizeof text, "%lu\n", ++count);
    if (len > msg->i.nbytes)
        len = msg->i.nbytes;
    ocb->offset += len;
    ocb->attr->flags |= IOFUNC_ATTR_ATIME;
    _IO_SET_READ_NBYTES(ctp, len);
    return _RESMGR_PTR(ctp, text, len);
}

int main(void) {
    resmgr_connect_funcs_t connect_funcs;
    resmgr_io_funcs_t io_funcs;
    iofunc_attr_t attr;
    dispatch_t *dpp = dispatch_create();
    dispatch_context_t *ctp;

    iofunc_func_init(_RESMGR_CONNECT_NFUNCS, &connect_funcs, _RESMGR_IO_NFUNCS, &io_funcs);
    io_funcs.read = counter_read;
    iofunc_attr_init(&attr, S_IFNAM | 0666, NULL, NULL);
    if (dpp == NULL || resmgr_attach(dpp, NULL, "/dev/counter", _FTYPE_ANY, 0, &connect_funcs, &io_funcs, &attr) == -1) {
        perror("counter");
        return EXIT_FAILURE;
    }
    for (ctp = dispatch_context_alloc(dpp); (ctp = dispatch_block(ctp)) != NULL;)
        dispatch_handler(ctp);
    perror("counter");
    return EXIT_FAILURE;
}
