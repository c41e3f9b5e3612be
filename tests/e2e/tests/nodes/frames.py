"""Disturbs Qnet on the wire: repeats, changes and invents frames.

Arguments: the interface, seconds to listen for frames to repeat. All that comes afterwards is made
of a printed seed.
"""

import os
import random
import socket
import sys
import time

ETHERTYPE = 0x8204
seed = int.from_bytes(os.urandom(4), "little")
print("seed", seed)
chance = random.Random(seed)

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
wire.bind((sys.argv[1], ETHERTYPE))
wire.settimeout(0.1)
print("listening", flush=True)
heard = []
until = time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    try:
        heard.append(wire.recv(65536))
    except TimeoutError:
        pass
print("heard", len(heard))


def say(frame):
    try:
        wire.send(frame[:1514])
    except OSError:
        pass


def changed(frame):
    frame = bytearray(frame)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(14, len(frame))
        frame[at] = chance.choice([0, 0xFF, chance.randrange(256)])
    return bytes(frame[: chance.randint(14, len(frame))]) if chance.random() < 0.2 else bytes(frame)


stations = sorted({frame[0:6] for frame in heard} | {frame[6:12] for frame in heard})
for frame in heard[:2000]:
    say(frame)
for _ in range(20000):
    say(changed(chance.choice(heard)))
for _ in range(5000):
    to, by = chance.choice(stations), chance.choice(stations)
    body = chance.randbytes(chance.randint(0, 200))
    if chance.random() < 0.8:
        body = b"\0\0" + bytes([0x2A, chance.randrange(16), chance.randrange(8), chance.randrange(5)]) + body
    say(to + by + ETHERTYPE.to_bytes(2, "big") + body)
print("done", flush=True)
