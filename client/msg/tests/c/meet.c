/* A client of server.c in another PID namespace: meet inside|outside says where it is itself. */
#include "test.h"

int main(int argc, char **argv) {
    struct request head = {.type = ECHO};
    static char out[LARGEST], in[LARGEST];
    struct _server_info server;
    struct _client_info client;
    struct _msg_info info;
    int coid, inside = argc > 1 && strcmp(argv[1], "inside") == 0;

    CHECK((coid = name_open(NAME, 0)) >= 0);
    memcpy(out, &head, sizeof head);
    CHECK(MsgSend(coid, out, 500, in, sizeof in) == 500 && memcmp(in, out, 500) == 0);
    head.type = LARGE;
    memcpy(out, &head, sizeof head);
    CHECK(MsgSend(coid, out, sizeof out, in, sizeof in) >= 0 && memcmp(in, out, sizeof in) == 0);

    /* A process is called by its number where it is; where that is not seen, by 0. */
    head.type = ABOUT;
    CHECK(MsgSend(coid, &head, sizeof head, &info, sizeof info) == EOK);
    CHECK(info.nd == ND_LOCAL_NODE && info.pid == (inside ? info.pid : 0) && (!inside || info.pid > 1));
    CHECK(ConnectServerInfo(0, coid, &server) == coid && (inside || server.pid == 1));
    head.type = CLIENT;
    CHECK(MsgSend(coid, &head, sizeof head, &client, sizeof client) == EOK);
    /* Who is root in there may be somebody else out here. */
    CHECK(client.pid == info.pid);
    CHECK(client.cred.euid == geteuid() || client.cred.euid == 0 || geteuid() == 0);
    CHECK(client.cred.egid == getegid() || client.cred.egid == 0 || getegid() == 0);
    if (!inside)
        CHECK(client.sid == 0 || client.sid == -1);

    head.type = DIE;
    FAILS(MsgSend(coid, &head, sizeof head, NULL, 0), ESRCH);
    return 0;
}
