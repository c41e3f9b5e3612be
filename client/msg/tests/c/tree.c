/* A manager of several names: a directory with what lies below it, and a file beside it, in one dispatch. */
#include <sys/iofunc.h>

#include "test.h"

enum { FILES = 40 };

static iofunc_attr_t root, files[FILES], beside;
static int ended;

static const char *file_name(int n) {
    static char name[32];

    sprintf(name, "file%d", n);
    return name;
}

static int tree_open(resmgr_context_t *ctp, io_open_t *msg, iofunc_attr_t *attr, void *extra) {
    const char *path = msg->connect.path;
    int n = -1, end = 0;

    CHECK(strlen(path) + 1 == msg->connect.path_len && attr == &root);
    if (*path == '\0')
        return iofunc_open_default(ctp, msg, &root, extra);
    if (sscanf(path, "sub/file%d%n", &n, &end) != 1 || path[end] != '\0' || n < 0 || n >= FILES)
        return ENOENT;
    /* What follows the name has been dealt with. */
    msg->connect.path[0] = '\0';
    return iofunc_open_default(ctp, msg, &files[n], extra);
}

static int tree_read(resmgr_context_t *ctp, io_read_t *msg, iofunc_ocb_t *ocb) {
    static char reply[1000];
    int status = iofunc_read_verify(ctp, msg, ocb, NULL);
    size_t used = 0, took, room = sizeof reply;

    if (status != EOK)
        return status;
    if ((size_t) msg->i.nbytes < room)
        room = (size_t) msg->i.nbytes;
    if (!S_ISDIR(ocb->attr->mode)) {
        if (ocb->offset > 0)
            return EOK;
        used = (size_t) snprintf(reply, room, "inode %d", (int) ocb->attr->inode);
        ocb->offset = (int64_t) used;
    } else {
        CHECK((msg->i.xtype & _IO_XTYPE_MASK) == _IO_XTYPE_READDIR || msg->i.xtype == _IO_XTYPE_NONE);
        for (; ocb->offset < FILES; ocb->offset++, used += took) {
            took = iofunc_dirent(reply + used, room - used, files[ocb->offset].inode, (uint64_t) ocb->offset + 1,
                                 file_name((int) ocb->offset));
            if (took == 0)
                break;
        }
    }
    _IO_SET_READ_NBYTES(ctp, (int) used);
    return _RESMGR_PTR(ctp, reply, used);
}

static int on_end(message_context_t *ctp, int code, unsigned flags, void *handle) {
    (void) code;
    (void) flags;
    (void) handle;
    ended = 1;
    return MsgReply(ctp->rcvid, EOK, NULL, 0);
}

int main(void) {
    resmgr_connect_funcs_t connect_funcs, plain;
    resmgr_io_funcs_t io_funcs;
    dispatch_context_t *ctp;
    dispatch_t *dpp = dispatch_create();
    int tree, other;

    CHECK(dpp != NULL);
    iofunc_func_init(_RESMGR_CONNECT_NFUNCS, &plain, _RESMGR_IO_NFUNCS, &io_funcs);
    connect_funcs = plain;
    connect_funcs.open = tree_open;
    io_funcs.read = tree_read;
    iofunc_attr_init(&root, S_IFDIR | 0755, NULL, NULL);
    iofunc_attr_init(&beside, S_IFREG | 0444, NULL, NULL);
    beside.inode = 4711;
    for (int n = 0; n < FILES; n++) {
        iofunc_attr_init(&files[n], S_IFREG | 0666, NULL, NULL);
        files[n].inode = (uint64_t) n + 100;
    }
    CHECK((tree = resmgr_attach(dpp, NULL, "/dev/tree", _FTYPE_ANY, _RESMGR_FLAG_DIR, &connect_funcs, &io_funcs, &root)) > 0);
    CHECK((other = resmgr_attach(dpp, NULL, "/dev/beside", _FTYPE_ANY, 0, &plain, &io_funcs, &beside)) > 0 && other != tree);
    CHECK(message_attach(dpp, NULL, DIE, DIE, on_end, NULL) == 0);
    puts("ready");
    fflush(stdout);
    for (ctp = dispatch_context_alloc(dpp); !ended && (ctp = dispatch_block(ctp)) != NULL;)
        dispatch_handler(ctp);
    CHECK(resmgr_detach(dpp, tree, 0) == 0 && resmgr_detach(dpp, other, 0) == 0);
    dispatch_context_free(ctp);
    CHECK(dispatch_destroy(dpp) == 0 && root.count == 0);
    return 0;
}
