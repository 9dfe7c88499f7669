#!/usr/bin/env python3
"""The switch does what its rules say, to one direction of one link and to no other, and counts it.

    switch_test.py NET_SWITCH        environment: TROUPE_SEED
"""

import os
import select
import socket
import sys
import time

import network

SEED = int(os.environ.get("TROUPE_SEED", "1"))
PORT = 9000
PACKETS = 300
QUIET_S = 0.3


def sockets(switch):
    opened = {}
    for n, namespace in switch.namespaces.items():
        with network.inside(namespace):
            opened[n] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened[n].bind((network.address(n), PORT))
            opened[n].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return opened


def received(one, quiet=QUIET_S):
    """What comes until nothing has come for that long: [(seconds on the way, number)]."""
    found = []
    while select.select([one], [], [], quiet)[0]:
        number, sent = one.recv(100).split()
        found.append((time.monotonic() - float(sent), int(number)))
    return found


def send(opened, a, b, count=PACKETS):
    for number in range(count):
        opened[a].sendto(f"{number} {time.monotonic()}".encode(), (network.address(b), PORT))
    return received(opened[b])


def check(name, holds, told):
    assert holds, f"{name}: {told}"


def main(program):
    switch = network.Switch(program, 3, SEED)
    opened = sockets(switch)
    numbers = list(range(PACKETS))

    def good(name, a, b):
        found = [number for _, number in send(opened, a, b)]
        check(name, found == numbers, f"{a} to {b}: {len(found)} of {PACKETS}, in order {found == sorted(found)}")

    for a, b in switch.links():
        good("a good wire", a, b)
    check("a good wire", switch.count("delivered") == switch.count("seen") == [PACKETS] * 6, switch.count("delivered"))

    switch.link(1, 2, "cut")
    check("cut", send(opened, 1, 2) == [], "something came through")
    check("cut", switch.count("cut") == [PACKETS, 0, 0, 0, 0, 0], switch.count("cut"))
    for a, b in switch.links()[1:]:
        good("cut elsewhere", a, b)
    switch.link(1, 2)
    good("mended", 1, 2)

    switch.link(1, 2, "lose=0.3")
    found = len(send(opened, 1, 2))
    lost = switch.count("lost", [(1, 2)])[0]
    check("lose", found + lost == PACKETS and PACKETS * 0.2 < lost < PACKETS * 0.4, f"{found} came, {lost} lost")

    switch.link(1, 2, "duplicate=0.3")
    found = [number for _, number in send(opened, 1, 2)]
    twice = switch.count("duplicated", [(1, 2)])[0]
    check("duplicate", len(found) == PACKETS + twice and set(found) == set(numbers) and twice > PACKETS * 0.2, f"{len(found)}, {twice}")

    switch.link(1, 2, "reorder=0.2")
    found = [number for _, number in send(opened, 1, 2)]
    overtaken = switch.count("reordered", [(1, 2)])[0]
    check("reorder", sorted(found) == numbers and found != numbers and overtaken > 0, f"{len(found)} came, {overtaken} were overtaken")

    switch.link(1, 2, "delay=80 jitter=40")
    times = [seconds for seconds, _ in send(opened, 1, 2)]
    check("delay", len(times) == PACKETS and min(times) >= 0.08, f"{len(times)} came, the first after {min(times, default=0)} s")
    back = [seconds for seconds, _ in send(opened, 2, 1)]
    check("delay", min(back) < 0.08, f"the way back took {min(back)} s, too")

    switch.link(1, 2, "hold")
    check("hold", send(opened, 1, 2) == [], "something came through")
    switch.link(1, 2)
    found = [number for _, number in received(opened[2])]
    check("hold", found == numbers and switch.count("held", [(1, 2)]) == [PACKETS], f"{len(found)} came when it was released")

    switch.end()
    print("good, cut, mended, lossy, repeating, reordering, slow and held links; each in one direction only, and counted")


if __name__ == "__main__":
    network.enter_namespaces()
    main(sys.argv[1])
