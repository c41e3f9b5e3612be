/* Names, and node descriptors where there is no Qnet. Also what structures measure, which the library relies on. */
#include <sys/netmgr.h>
#include <sys/wait.h>

#include <sys/iofunc.h>

#include "test.h"

_Static_assert(sizeof(struct _pulse) == 24, "_pulse");
_Static_assert(sizeof(struct _msg_info) == 64, "_msg_info");
_Static_assert(sizeof(struct _client_info) == 76, "_client_info");
_Static_assert(sizeof(resmgr_context_t) == 1144, "resmgr_context_t");
_Static_assert(sizeof(thread_pool_attr_t) == 64, "thread_pool_attr_t");
_Static_assert(sizeof(iofunc_attr_t) == 88, "iofunc_attr_t");
_Static_assert(sizeof(iofunc_ocb_t) == 24, "iofunc_ocb_t");
_Static_assert(sizeof(resmgr_io_funcs_t) == 80, "resmgr_io_funcs_t");
_Static_assert(offsetof(struct _io_connect, path) == 40 && sizeof(struct _io_stat_reply) == 64, "sys/iomsg.h");

int main(void) {
    name_attach_t *attach, *second;
    char *end, buf[10];
    int coid, pid, status;

    CHECK((attach = name_attach(NULL, "a/b", 0)) != NULL);
    CHECK(attach->chid > 0);
    CHECK((coid = name_open("a/b", 0)) >= 0);
    CHECK(name_close(coid) == 0);
    CHECK((coid = name_open("/dev/name/local/a/b", 0)) >= 0);
    CHECK(name_close(coid) == 0);

    errno = 0;
    CHECK(name_attach(NULL, "a/b", 0) == NULL && errno == EEXIST);
    CHECK(name_attach(NULL, "/a", 0) == NULL && errno == EINVAL);
    CHECK(name_attach(NULL, "a/../b", 0) == NULL && errno == EINVAL);
    CHECK(name_attach(NULL, "", 0) == NULL && errno == EINVAL);
    CHECK(name_attach(NULL, NULL, 0) == NULL && errno == EINVAL);
    FAILS(name_open("a", 0), ENOENT);
    FAILS(name_open("a/b", NAME_FLAG_ATTACH_GLOBAL), ENOENT);
    FAILS(name_open("/a/b", 0), EINVAL);
    FAILS(name_open("../a", 0), EINVAL);
    FAILS(name_open("/net/lab2/dev/name/local/a", 0), ENOTSUP);

    CHECK((second = name_attach(NULL, "a/b", NAME_FLAG_ATTACH_GLOBAL)) != NULL);
    CHECK((coid = name_open("a/b", NAME_FLAG_ATTACH_GLOBAL)) >= 0);
    CHECK(name_close(coid) == 0);
    CHECK(name_detach(second, 0) == 0);
    FAILS(name_open("a/b", NAME_FLAG_ATTACH_GLOBAL), ENOENT);

    /* A process that dies leaves its name to the next. */
    if ((pid = fork()) == 0)
        _exit(name_attach(NULL, "brief", 0) == NULL);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    FAILS(name_open("brief", 0), ENOENT);
    CHECK((second = name_attach(NULL, "brief", 0)) != NULL);
    CHECK(name_detach(second, 0) == 0);

    /* The channel stays if it is to. */
    coid = attach->chid;
    CHECK(name_detach(attach, NAME_FLAG_DETACH_SAVEDPP) == 0);
    CHECK(ChannelDestroy(coid) == 0);
    FAILS(name_open("a/b", 0), ENOENT);
    FAILS(name_detach(NULL, 0), EINVAL);

    FAILS(ConnectAttach(3, 1234, 1, 0, 0), ENOREMOTE);
    FAILS(netmgr_strtond("lab2", &end), ENOTSUP);
    FAILS(netmgr_ndtostr(ND2S_DIR_HIDE, 1, buf, sizeof buf), ENOTSUP);
    FAILS(netmgr_remote_nd(1, ND_LOCAL_NODE), ENOTSUP);
    CHECK(ND_NODE_CMP(0x10001, 0x20001) == 0 && ND_NODE_CMP(1, 2) != 0);
    return 0;
}
