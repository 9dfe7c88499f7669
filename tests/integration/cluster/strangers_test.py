#!/usr/bin/env python3
"""Who has no business in a cluster: garbage, HTTP, silent connections, a second node of the same id, a node of another cluster.

    strangers_test.py PROGRAM        environment: TROUPE_SEED

Whatever they do, a client that writes through each node all the time sees no failure, no leader changes, and nobody restarts.
What the strangers are told is held against what it should be.
"""

import json
import os
import random
import socket
import time

import history
from clients import Load
from cluster_process import Cluster, free_ports, run_on_cluster, until

SEED = int(os.environ.get("TROUPE_SEED", "1"))
TOPIC = "orders"
PARTITIONS = 6
HTTP = b"GET /v1/cluster HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n"
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(193))


class Watch:
    """The cluster while a stranger is there: every partition is written through every node, by the same leaders."""

    def __init__(self, cluster, log):
        self.cluster = cluster
        self.log = log

    def leaders(self):
        return [(p["p"], p["leader"], p["epoch"], sorted(p["isr"])) for p in self.cluster.partitions(1, TOPIC)]

    def written_through_all(self, since):
        return self.log.all_written_since(since, PARTITIONS) and all(self.log.acknowledged(since, node=n) for n in self.cluster.nodes)

    def undisturbed(self, what, work):
        """Three tries: on a busy machine a node may be silent for 0.8 s without a stranger's help, and is rightly suspected."""
        for rest in (2, 1, 0):
            disturbed = self.once(what, work)
            if not disturbed:
                return
            print(f"{what}: disturbed: {disturbed}", flush=True)
            self.cluster.wait_whole(TOPIC)
            assert rest, f"{what}: disturbed each of three times"

    def once(self, what, work):
        """What was disturbed, or nothing. Throws when the stranger was not treated as it should be, and when a node died."""
        before, controller, links = self.leaders(), self.cluster.controller(), self.links_lost()
        processes = [node.process.pid for node in self.cluster.nodes.values()]
        began = time.monotonic()
        told = work()
        after = time.monotonic()
        until(lambda: self.written_through_all(after), 30, f"{what}: writes do not go on")
        for n, node in self.cluster.nodes.items():
            assert node.process.poll() is None, f"{what}: node {n} ended with {node.process.returncode}\n{node.log_tail()}"
        assert processes == [node.process.pid for node in self.cluster.nodes.values()]
        end = time.monotonic()
        troubles = self.log.troubles_between(began, end)
        silence, _ = self.log.longest_silence(began, end)
        print(f"{what}: silence {silence * 1000:.0f} ms; {told}", flush=True)
        checks = [(self.leaders() == before, f"{before} became {self.leaders()}"),
                  (self.cluster.controller() == controller, f"the controller was {controller}: {self.cluster.controllers()}"),
                  (self.links_lost() == links, f"{self.links_lost() - links} links went down"),
                  (all(map(self.cluster.ready, self.cluster.nodes)), "not all are ready"),
                  (not troubles, f"failed requests: {troubles[:3]}")]
        return "; ".join(told for holds, told in checks if not holds)

    def links_lost(self):
        return sum('"msg":"link down"' in line for node in self.cluster.nodes.values() for line in node.log_lines())


def speak(port, pieces, seconds=3.0):
    """What comes back to these bytes, and whether the node closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        answer = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
            while True:
                piece = connection.recv(65536)
                if not piece:
                    return answer, "closed"
                answer += piece
                if len(answer) > 1 << 20:
                    return answer, "talks without end"
        except socket.timeout:
            return answer, "left open"
        except OSError as failure:
            return answer, type(failure).__name__


def garbage(cluster, randomness):
    """Every form of it at every node's cluster port."""
    forms = {
        "an HTTP request": [HTTP],
        "a TLS hello": [TLS_HELLO],
        "one byte": [b"\x00"],
        "31 bytes": [bytes(randomness.randrange(1, 256) for _ in range(31))],
        "zeros": [bytes(4096)],
        "ones": [b"\xff" * 4096],
        "4 KiB by chance": [randomness.randbytes(4096)],
        "1 MiB by chance": [randomness.randbytes(1 << 20)],
        # Each of these two ends a process of CAF's alone; the third makes it take 4 GiB.
        "an empty client handshake": [b"\x01" + bytes(31)],
        "an empty server handshake": [bytes(15) + b"\x03" + bytes(16)],
        "a frame of 4 GiB": [b"\x02\x00\x00\x00\xff\xff\xff\xff" + bytes(23) + b"\x01"],
        "byte by byte": [bytes([one]) for one in randomness.randbytes(200)],
    }
    told = {}
    for name, pieces in forms.items():
        for port in cluster.cluster_ports.values():
            answer, end = speak(port, pieces, seconds=1.0)
            told[name] = f"{len(answer)} bytes, {end}"
    return told


def comings_and_goings(cluster):
    """Connections that say nothing: closed at once, reset, kept open."""
    silent = []
    for port in cluster.cluster_ports.values():
        for _ in range(50):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        for _ in range(20):
            reset = socket.create_connection(("127.0.0.1", port), timeout=5)
            reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            reset.close()
        silent += [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(20)]
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 1.5, 5, "time stands still")
    for one in silent:
        one.close()
    return f"{len(silent)} silent connections, 210 short ones"


def by_http_to_a_node(cluster):
    """The other way round: bytes of the cluster's protocol at the HTTP port."""
    answers = {speak(node.port, [bytes(4096)])[0][:12] for node in cluster.nodes.values()}
    assert answers == {b"HTTP/1.1 400"}, answers
    return "400"


def stranger_says(stranger, seconds, *words):
    """A node that should not get in: it is never ready, and says why in its log. Returns the line."""
    def line():
        assert stranger.process.poll() is not None or not is_ready(stranger), f"it became ready:\n{stranger.log_tail()}"
        return next((one for one in stranger.log_lines() if all(word in one for word in words)), None)
    return until(line, seconds, lambda: f"no line with {words}:\n{stranger.log_tail()}")


def way_out(stranger, *words):
    """The check of /readyz that says why it is not taken; None when it has ended."""
    def links():
        if stranger.process.poll() is not None:
            return "it ended"
        try:
            status, body = stranger.get("/readyz", timeout=1)
        except OSError:
            return None
        assert status == 503, body
        told = next((one for one in json.loads(body)["checks"] if one["name"] == "links"), {"detail": ""})
        return all(word in told["detail"] for word in words) and not told["ok"] and told["detail"]
    return until(links, 20, lambda: f"/readyz says nothing of {words}: {stranger.get('/readyz', timeout=1)}")


def is_ready(node):
    try:
        return node.get("/readyz", timeout=1)[0] == 200
    except OSError:
        return False


def duplicate(cluster):
    """Another process with node id 2, its own empty folder and ports, the others' addresses."""
    http_port, port = free_ports(2)
    voters = cluster.voters.replace(f"2@127.0.0.1:{cluster.cluster_ports[2]}", f"2@127.0.0.1:{port}")
    stranger = cluster.process("duplicate", 2, http_port, port, voters)
    try:
        stranger.start(wait=False)
        line = stranger_says(stranger, 10, "duplicate_broker_registration")
        told = way_out(stranger, "duplicate_broker_registration", "another node.id")
        print(f"a second node 2: /readyz: {told}")
        ended = stranger.process.poll()
        return f"the second node 2 {'goes on, not ready' if ended is None else f'ended with {ended}'}: {line[:400]}"
    finally:
        stranger.end()


def foreign(cluster):
    """A voter 3 of another cluster of three, which is then told the addresses of these nodes 1 and 2."""
    elsewhere = Cluster(cluster.program, os.path.join(cluster.folder, "elsewhere"))
    mine = elsewhere.nodes[3]
    stranger = cluster.process("elsewhere/node3", 3, mine.port, elsewhere.cluster_ports[3], cluster.voters.replace(
        f"3@127.0.0.1:{cluster.cluster_ports[3]}", f"3@127.0.0.1:{elsewhere.cluster_ports[3]}"))
    try:
        elsewhere.start()
        until(lambda: all(elsewhere.ready(n) for n in elsewhere.nodes), 30, "the other cluster is not ready")
        other = mine.call("GET", "/v1/cluster")["cluster_id"]
        assert other != cluster.nodes[1].call("GET", "/v1/cluster")["cluster_id"]
        elsewhere.end()
        return told_other_cluster(stranger)
    finally:
        elsewhere.end()
        stranger.end()


def foreign_join(cluster):
    """A cluster of one that is told to join this one."""
    http_port, port = free_ports(2)
    alone = cluster.process("alone", 7, http_port, port, f"7@127.0.0.1:{port}")
    stranger = cluster.process("alone", 7, http_port, port, "")
    stranger.options = ["--node-id", "7", "--cluster", f"127.0.0.1:{port}", "--join", f"127.0.0.1:{cluster.cluster_ports[1]}"]
    try:
        alone.start()
        assert alone.stop()[0] == 0
        return told_other_cluster(stranger)
    finally:
        alone.end()
        stranger.end()


def told_other_cluster(stranger):
    before = len(stranger.log_lines())
    stranger.start(wait=False)
    words = ("inconsistent_cluster_id", "two clusters", "another cluster", "different cluster", "belongs to")

    def line():
        return next((one for one in stranger.log_lines()[before:] if any(word in one for word in words)), None)
    said = until(line, 10, lambda: f"not a word about two clusters, ready: {is_ready(stranger)}:\n{stranger.log_tail()}")
    assert stranger.process.poll() is not None or not is_ready(stranger), f"it became ready:\n{stranger.log_tail()}"
    print(f"a foreign node: /readyz: {way_out(stranger, 'inconsistent_cluster_id', 'its own cluster')}")
    ended = stranger.process.poll()
    return f"the foreign node {'goes on, not ready' if ended is None else f'ended with {ended}'}: {said[:400]}"


def run(cluster):
    cluster.start()
    for n in cluster.nodes:
        until(lambda: cluster.ready(n), 30, lambda: f"node {n} is not ready: {cluster.ask(n, '/readyz')}")  # noqa: B023
    cluster.nodes[1].call("POST", "/v1/topics", {"name": TOPIC, "partitions": PARTITIONS, "replication_factor": 3})
    cluster.wait_whole(TOPIC)
    log = history.History()
    load = Load(cluster, TOPIC, PARTITIONS, log, SEED)
    load.start(writers_a_node=1, retriers=1)
    watch = Watch(cluster, log)
    until(lambda: watch.written_through_all(0), 30, "nothing is written")
    failed = []
    for what, work in {"garbage at the cluster ports": lambda: garbage(cluster, random.Random(SEED)),
                       "connections without a word": lambda: comings_and_goings(cluster),
                       "zeros at the HTTP ports": lambda: by_http_to_a_node(cluster),
                       "a second node 2": lambda: duplicate(cluster),
                       "a node of another cluster": lambda: foreign(cluster),
                       "a cluster of one that joins": lambda: foreign_join(cluster)}.items():
        try:
            watch.undisturbed(what, work)
        except AssertionError as failure:
            print(f"{what}: FAILED: {failure}", flush=True)
            failed.append(what)
    load.stop()
    cluster.wait_whole(TOPIC)
    logs = {n: node.read_all(TOPIC) for n, node in cluster.nodes.items()}
    wrong = log.wrong + history.violations(log.attempts, logs, log.reads)
    assert not wrong, f"{len(wrong)} violations:\n" + "\n".join(wrong[:20])
    print(f"{len(log.attempts)} writes, {len(log.troubles)} failed requests")
    assert not failed, f"failed: {failed}"


run_on_cluster(f"reproduce: TROUPE_SEED={SEED} strangers_test.py PROGRAM", run)
