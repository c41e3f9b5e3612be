"""Knocks at the door of programs, says nothing or rubbish there, and goes. Argument: the door."""

import os
import socket
import sys

HELLO = b"ionetmsg" + (1).to_bytes(4, "little")


def knock(words):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(sys.argv[1])
    for word in words:
        try:
            s.send(word)
        except OSError:
            break
    return s


held = [knock([]) for _ in range(300)]
for n in range(500):
    knock([os.urandom(n % 300 + 1)]).close()
    # A hello that may mean anything, and what nobody says after it.
    knock([HELLO + os.urandom(52), os.urandom(9)]).close()
    # A node that there may be.
    knock([HELLO + bytes(4) + (1).to_bytes(4, "little") * 3 + bytes(40)]).close()
print("done")
