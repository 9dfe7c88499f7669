"""The faults of rounds.py. Each begins, proves that it is in force, and is mended; each says what clients may still expect meanwhile.

A fault is a generator over a `Round`: what is before its `yield` begins it, the words that it yields say that it is in force, what is
behind ends it. `round.victim` is the node that it concerns; `round.expect` is what must hold while it lasts:
  "goes on"   every partition is written again before the fault ends
  "others"    the same, of the partitions that the victim does not lead when it begins
  "nothing"   nothing that was sent while it lasts is acknowledged while it lasts, and `round.minority` says so in /readyz
  "whatever"  nothing but the claims of history.py
"""

import json
import os
import random
import shutil
import signal
import socket
import time

import network
from cluster_process import ASK_ERRORS, state_of, until

GOES_ON, OTHERS, NOTHING, WHATEVER = "goes on", "others", "nothing", "whatever"
HOUR_S = 3600
PATIENCE_S = 60  # for what takes a second where nothing else runs
STRANGER = 4  # the namespace of nodes that do not belong here
OTHER_CLUSTER = ("inconsistent_cluster_id", "two clusters", "another cluster", "different cluster", "belongs to")
KINDS = {}


def kind(expect, weight=2, last=False):
    """`last`: afterwards the cluster has a voter less, so it is the end of its life."""
    def register(function):
        function.expect, function.weight, function.last = expect, weight, last
        KINDS[function.__name__] = function
        return function
    return register


# Processes.

@kind(GOES_ON, weight=4)
def kill(one):
    one.node.kill()
    assert one.node.process.returncode == -signal.SIGKILL, one.node.process.returncode
    yield "ended by SIGKILL"
    one.start()


@kind(GOES_ON, weight=3)
def pause(one):
    one.node.process.send_signal(signal.SIGSTOP)
    until(lambda: state_of(one.node.process) == "T", 5, "the process is not stopped")
    one.hang_begins()
    yield "state T"
    assert state_of(one.node.process) == "T", "somebody woke it up"
    one.node.process.send_signal(signal.SIGCONT)
    one.hang_ends()


@kind(WHATEVER)
def short_pauses(one):
    """Shorter than any session: suspicion, and then it is back."""
    count = 0
    for seconds in (0.3, 0.9, 1.5):
        one.node.process.send_signal(signal.SIGSTOP)
        until(lambda: state_of(one.node.process) == "T", 5, "the process is not stopped")
        one.rest(seconds * one.randomness.uniform(0.7, 1.3))
        count += state_of(one.node.process) == "T"
        one.node.process.send_signal(signal.SIGCONT)
        one.rest(0.2)
    assert count == 3, f"stopped {count} times"
    yield f"state T {count} times"


def stopped(node):
    """SIGTERM. A node that has no time to end in its two seconds says so, and ends with 1: a busy machine is not its fault."""
    before = len(node.error_lines())
    code, seconds = node.stop(PATIENCE_S)
    late = any("did not stop in time" in line for line in node.error_lines()[before:])
    assert code == (1 if late else 0), f"SIGTERM: exit code {code} after {seconds:.2f} s\n{node.log_tail()}"
    return f"exit code {code} after {seconds:.2f} s"


@kind(GOES_ON)
def terminate(one):
    yield stopped(one.node)
    one.start()


@kind(WHATEVER, weight=1)
def rolling_restart(one):
    for n in one.cluster.nodes:
        one.note(stopped(one.cluster.nodes[n]))
        one.start(n)
        one.wait_whole()
    yield "ended by SIGTERM, one after the other"


@kind(NOTHING)
def kill_two(one):
    gone = [one.victim, one.another()]
    one.minority = [n for n in one.cluster.nodes if n not in gone]
    for n in gone:
        one.cluster.nodes[n].kill()
    yield f"nodes {gone} ended by SIGKILL"
    one.start(*gone)


@kind(NOTHING, weight=1)
def kill_all(one):
    one.minority = []
    for node in one.cluster.nodes.values():
        node.process.send_signal(signal.SIGKILL)
    for node in one.cluster.nodes.values():
        node.process.wait()
    yield "three ended by SIGKILL"
    one.start(*one.cluster.nodes)


# Power and disks.

def cut_power(one, numbers):
    """The state of the processes at one moment, and of the disks a moment later: nothing in between is acknowledged."""
    for n in numbers:
        one.cluster.nodes[n].process.send_signal(signal.SIGSTOP)
    for n in numbers:
        until(lambda: state_of(one.cluster.nodes[n].process) == "T", 5, "the process is not stopped")  # noqa: B023
        one.disks[n].write_probe()
        one.disks[n].cut_power()
        assert one.disks[n].is_dead(), f"the disk of node {n} goes on"
    for n in numbers:
        one.cluster.nodes[n].kill()
    for n in numbers:
        one.disks[n].again()
        assert not one.disks[n].has_probe(), f"the disk of node {n} kept what was not synced"
    return f"disks of {list(numbers)} lost what was not synced"


@kind(GOES_ON, weight=4)
def power_cut(one):
    yield cut_power(one, [one.victim])
    one.start()


@kind(NOTHING, weight=3)
def power_cut_of_all(one):
    one.minority = []
    yield cut_power(one, list(one.cluster.nodes))
    one.start(*one.cluster.nodes)


@kind(NOTHING)
def power_cut_of_two(one):
    gone = [one.victim, one.another()]
    one.minority = [n for n in one.cluster.nodes if n not in gone]
    yield cut_power(one, gone)
    one.start(*gone)


@kind(WHATEVER, weight=4)
def chase(one):
    """Who leads is killed, or loses power, and its successor as soon as the first one is back, long before all are in sync (KIP-279)."""
    victims = []
    for _ in range(3):
        leader = one.cluster.most_leading(one.life.topic, n=one.cluster.asked())
        victims.append(leader)
        if one.randomness.random() < 0.5:
            cut_power(one, [leader])
        else:
            one.cluster.nodes[leader].kill()
        one.rest(one.randomness.uniform(0, 0.6))
        one.start(leader)
        until(lambda: one.cluster.ready(leader), PATIENCE_S, f"node {leader} is not ready")  # noqa: B023
    yield f"nodes {victims}, each ended while it led most"


@kind(WHATEVER, weight=3)
def fall_while_isolated(one):
    """Cut off, it leads on for a while, for nobody; then it dies, and comes back to those who went on without it."""
    cut = broken(one, both_ways((one.victim, n) for n in one.others()), "cut", "cut")
    proof = next(cut)
    one.rest(one.randomness.uniform(0.2, 3))
    if one.randomness.random() < 0.5:
        cut_power(one, [one.victim])
    else:
        one.node.kill()
    one.start()
    one.rest(one.randomness.uniform(0, 1))
    yield f"{proof}, and ended while it was"
    next(cut, None)


@kind(GOES_ON)
def dead_disk(one):
    """Every write and sync fails with EIO, and the process lives on or not."""
    one.disks[one.victim].cut_power()
    assert one.disks[one.victim].is_dead(), "the disk goes on"
    yield "EIO for whatever is written"
    one.fate("its disk died")
    one.node.end()
    one.disks[one.victim].again()
    one.start()


@kind(OTHERS, weight=1)
def full_disk(one):
    free = one.disks[one.victim].fill()
    assert free == 0, f"{free} bytes are free"
    yield "0 bytes free"
    free = one.disks[one.victim].free_bytes()
    one.disks[one.victim].make_space()
    one.fate(f"its disk was full ({free} bytes free at the end)")
    one.start_if_ended()


@kind(WHATEVER, weight=3)
def sync_fails_once(one):
    shim = one.shims[one.victim]
    before = shim.get("failed_syncs")
    shim.set("fail_syncs", 1)
    until(lambda: shim.get("failed_syncs") == before + 1, PATIENCE_S, "no sync came that could fail")
    yield "one sync ended with EIO"
    one.fate("a sync failed")
    one.start_if_ended()


@kind(WHATEVER)
def slow_start(one):
    """A node whose disk is slow just when it comes back: the cluster knows of it long before its logs are open."""
    shim = one.shims[one.victim]
    one.node.kill()
    before = shim.get("delayed_syncs")
    milliseconds = one.randomness.choice([50, 100, 300])
    shim.set("sync_delay_us", milliseconds * 1000)
    one.start()
    until(lambda: shim.get("delayed_syncs") > before + 2, PATIENCE_S, "it syncs nothing when it starts")
    yield f"each sync takes {milliseconds} ms more"
    shim.set("sync_delay_us", 0)
    one.note(f"{shim.get('delayed_syncs') - before} slow syncs")


@kind(WHATEVER)
def slow_disk(one):
    shim = one.shims[one.victim]
    before = shim.get("delayed_syncs")
    milliseconds = one.randomness.choice([20, 100, 400])
    shim.set("sync_delay_us", milliseconds * 1000)
    yield f"each sync takes {milliseconds} ms more"
    slow = shim.get("delayed_syncs") - before
    shim.set("sync_delay_us", 0)
    assert slow > 0, "there was no sync"
    one.note(f"{slow} slow syncs")


@kind(WHATEVER, weight=1, last=True)
def empty_disk(one):
    """The same id with nothing: it copies what it should hold, without a vote."""
    one.node.kill()
    one.disks[one.victim].wipe()
    assert not os.path.exists(one.node.data_dir), "the disk is not empty"
    until(lambda: one.without(one.victim), PATIENCE_S, f"node {one.victim} still counts")
    yield "an empty file system"
    one.start()


@kind(GOES_ON, weight=1, last=True)
def old_disk(one):
    """A copy of the disk, made while the node was stopped; some seconds later the node is put back to it. A voter that has forgotten
    what it acknowledged is not heard if the quorum's leader knows of that, and it says so: with its metadata emptied the node comes
    back, without a vote. After an election nobody knows; the node is taken for one that was slow (docs/roadmap.md)."""
    one.node.stop(PATIENCE_S)
    copy = one.disks[one.victim].copy()
    one.start()
    one.wait_whole()
    one.written(time.monotonic())
    one.node.stop(PATIENCE_S)
    until(lambda: one.without(one.victim), PATIENCE_S, f"node {one.victim} still counts")
    one.disks[one.victim].restore(copy)
    one.start()
    refused = "has forgotten what it acknowledged: its disk was put back"
    until(lambda: one.said(refused) or one.cluster.ready(one.victim), PATIENCE_S, "an old disk is neither refused nor taken back")
    if one.said(refused):
        assert not one.cluster.ready(one.victim), "it is ready, and has forgotten what it acknowledged"
        yield "an old copy of its disk, refused"
        assert not one.cluster.ready(one.victim), "it is ready, and has forgotten what it acknowledged"
        one.node.stop(PATIENCE_S)
        shutil.rmtree(os.path.join(one.node.data_dir, "metadata"))
        one.start()
    else:
        yield "an old copy of its disk, taken back"


# Clocks.

@kind(GOES_ON)
def wall_clock(one):
    """Hours off, and back. Monotonic time goes on."""
    yield from shift_wall_clock(one, one.randomness.choice([-10, -1, 1, 10]))


@kind(GOES_ON, weight=0)
def wall_clock_days(one):
    """Not drawn: idempotency keys are kept for a day by the times in the log; retries of forgotten ones are written twice (P1, P3)."""
    yield from shift_wall_clock(one, 24 * 30)


def shift_wall_clock(one, hours):
    shim = one.shims[one.victim]
    before = shim.get("shifted_reads")
    shim.set("wall_offset_s", hours * HOUR_S)
    yield f"{hours:+d} h"
    read = shim.get("shifted_reads") - before
    shim.set("wall_offset_s", 0)
    assert read > 0, "nobody read the wall clock"
    one.note(f"read {read} times")


# Links.

def broken(one, links, rule, what):
    """These directed links have the rule until the fault ends; packets must have met it on each of them."""
    before = one.switch.count(what, links)
    for a, b in links:
        one.switch.link(a, b, rule)
    yield f"{rule.split('=')[0]} on {[f'{a}->{b}' for a, b in links]}"
    met = [now - then for now, then in zip(one.switch.count(what, links), before)]
    for a, b in links:
        one.switch.link(a, b, one.background)
    assert all(met), f"no packet met '{rule}' on some of {links}: {met}"
    one.note(f"packets {what}: {met}")


def both_ways(pairs):
    return [link for a, b in pairs for link in ((a, b), (b, a))]


@kind(GOES_ON, weight=4)
def isolated(one):
    yield from broken(one, both_ways((one.victim, n) for n in one.others()), "cut", "cut")


@kind(GOES_ON, weight=2)
def deaf(one):
    """The others hear it, it does not hear the others."""
    yield from broken(one, [(n, one.victim) for n in one.others()], "cut", "cut")


@kind(GOES_ON, weight=2)
def mute(one):
    """It hears the others, they do not hear it."""
    yield from broken(one, [(one.victim, n) for n in one.others()], "cut", "cut")


@kind(GOES_ON, weight=3)
def partial(one):
    """Two do not reach each other, the third reaches both."""
    yield from broken(one, both_ways([(one.victim, one.another())]), "cut", "cut")


@kind(GOES_ON, weight=2)
def partial_one_way(one):
    yield from broken(one, [(one.victim, one.another())], "cut", "cut")


@kind(GOES_ON, weight=1)
def partial_beside_controller(one):
    """Two do not reach each other, and the controller, which reaches both, thinks that all is well."""
    controller = until(one.cluster.controller, PATIENCE_S, one.cluster.controllers)
    yield from broken(one, both_ways([[n for n in one.cluster.nodes if n != controller]]), "cut", "cut")


@kind(NOTHING, weight=2)
def all_apart(one):
    one.minority = list(one.cluster.nodes)
    yield from broken(one, one.switch.links(), "cut", "cut")


@kind(WHATEVER, weight=2)
def flapping(one):
    """Links of one node that come and go."""
    links = both_ways((one.victim, n) for n in one.others())
    before = one.switch.count("cut", links)
    for _ in range(4):
        for a, b in links:
            one.switch.link(a, b, "cut")
        one.rest(one.randomness.uniform(0.1, 1.2))
        for a, b in links:
            one.switch.link(a, b, one.background)
        one.rest(one.randomness.uniform(0.1, 0.8))
    met = sum(one.switch.count("cut", links)) - sum(before)
    assert met > 0, "no packet was cut"
    yield f"{met} packets cut in 4 turns"


@kind(WHATEVER, weight=2)
def held(one):
    """What one node sends arrives late and all at once: of connections that others may have given up."""
    yield from broken(one, [(one.victim, n) for n in one.others()], "hold", "held")


@kind(WHATEVER, weight=2)
def slow_links(one):
    links = one.switch.links() if one.randomness.random() < 0.4 else both_ways((one.victim, n) for n in one.others())
    delay = one.randomness.choice([5, 25, 80])
    yield from broken(one, links, f"delay={delay} jitter={delay // 2}", "delayed")


@kind(WHATEVER, weight=3)
def lossy_links(one):
    rule = f"lose={one.randomness.choice([0.02, 0.08, 0.2])} duplicate=0.05 reorder=0.1"
    yield from broken(one, one.switch.links(), rule, "seen")
    assert sum(one.switch.count("lost")) > 0, "no packet was lost"


# Strangers.

@kind(GOES_ON)
def garbage(one):
    """Bytes of no protocol at the victim's cluster port, from the node of another."""
    spoken = 0
    target = (network.address(one.victim), network.CLUSTER_PORT)
    for pieces in garbage_forms(one.randomness):
        with network.inside(one.switch.namespaces[one.another()]):
            connection = socket.create_connection(target, timeout=5)
        with connection:
            connection.settimeout(0.5)
            try:
                connection.sendall(pieces)
                connection.recv(4096)
            except OSError:
                pass
        spoken += 1
    assert one.node.process.poll() is None, f"it ended with {one.node.process.returncode}\n{one.node.log_tail()}"
    yield f"{spoken} strangers"


def garbage_forms(randomness):
    return [b"GET /v1/cluster HTTP/1.1\r\nHost: x\r\n\r\n", bytes.fromhex("16030100c8010000c40303") + bytes(range(193)), b"\x00",
            bytes(4096), b"\xff" * 4096, randomness.randbytes(31), randomness.randbytes(1 << 16)]


@kind(GOES_ON, weight=1)
def same_id(one):
    """Another process with the victim's id, its own empty folder and address, the others' addresses."""
    here, there = f"{one.victim}@{network.address(one.victim)}:", f"{one.victim}@{network.address(STRANGER)}:"
    stranger = one.stranger(one.victim, one.cluster.voters.replace(here, there))
    try:
        stranger.start(wait=False)
        yield one.refused(stranger, "duplicate_broker_registration")
        one.refused(stranger, "duplicate_broker_registration")
    finally:
        stranger.end()


@kind(GOES_ON, weight=1)
def foreign_node(one):
    """A cluster of one that is told to join this one: it goes on alone."""
    own = f"{network.address(STRANGER)}:{network.CLUSTER_PORT}"
    stranger = one.stranger(STRANGER, f"{STRANGER}@{own}")
    try:
        stranger.start()
        code, _ = stranger.stop(PATIENCE_S)
        assert code == 0, f"the stranger ended with {code}"
        stranger.options = ["--node-id", str(STRANGER), "--cluster", own, "--join", f"{network.address(one.victim)}:{network.CLUSTER_PORT}",
                            *one.cluster.tls_options(stranger.folder, STRANGER)]
        stranger.start(wait=False)
        yield one.refused(stranger, *OTHER_CLUSTER, alone=True)
        for n in one.cluster.nodes:
            brokers = [broker["id"] for broker in one.cluster.nodes[n].call("GET", "/v1/cluster")["brokers"]]
            assert brokers == list(one.cluster.nodes), f"node {n} says that the brokers are {brokers}"
    finally:
        stranger.end()


def is_ready(node):
    try:
        return node.get("/readyz", timeout=1)[0] == 200
    except ASK_ERRORS:
        return False


class Round:
    """One fault in one cluster: who it concerns, and the tools that faults use."""

    def __init__(self, life, function, seed):
        self.life = life
        self.cluster, self.switch, self.disks, self.shims = life.cluster, life.switch, life.disks, life.shims
        self.function = function
        self.randomness = random.Random(seed)
        self.expect = function.expect
        self.background = ""
        self.minority = []
        self.notes = []
        self.role, self.victim = self.choose()

    def choose(self):
        role = self.randomness.choice(["the busiest leader", "the controller", "a node"])
        if role == "the busiest leader":
            return role, self.cluster.most_leading(self.life.topic)
        if role == "the controller":
            return role, until(self.cluster.controller, PATIENCE_S, self.cluster.controllers)
        return role, self.randomness.choice(list(self.cluster.nodes))

    @property
    def node(self):
        return self.cluster.nodes[self.victim]

    def others(self):
        return [n for n in self.cluster.nodes if n != self.victim]

    def another(self):
        """The same one in the whole round."""
        return self.others()[self.life.rounds % 2]

    def note(self, text):
        self.notes.append(text)

    def rest(self, seconds):
        began = time.monotonic()
        until(lambda: time.monotonic() - began >= seconds, seconds + 5, "time stands still")

    def start(self, *numbers):
        for n in numbers or [self.victim]:
            self.cluster.start(n)

    def fate(self, what):
        ended = self.node.process.poll()
        self.note(f"{what}: the process {'went on' if ended is None else f'ended with {ended}'}")
        self.life.expected_end(self.victim, ended)

    def start_if_ended(self):
        if self.node.process.poll() is not None:
            self.start()

    def stranger(self, node_id, voters):
        """A node of nobody's, in a fresh folder; not started."""
        return self.cluster.process(f"stranger{self.life.rounds}", node_id, network.HTTP_PORT, network.CLUSTER_PORT, voters,
                                    network.address(STRANGER))

    def refused(self, stranger, *words, alone=False):
        """A stranger that says with one of these words why it is not taken. It is not ready, unless it is a majority by itself."""
        def said():
            assert alone or not is_ready(stranger), f"it became ready:\n{stranger.log_tail()}"
            return next((word for line in stranger.log_lines() for word in words if word in line), None)
        return f"the stranger says {until(said, PATIENCE_S, stranger.log_tail)}"

    def hang_begins(self):
        self.hang = time.monotonic()

    def hang_ends(self):
        self.life.hangs.append((self.victim, self.hang, time.monotonic()))

    def without(self, n):
        return self.cluster.without(n, self.life.topic)

    def wait_whole(self):
        return self.life.wait_whole()

    def written(self, since):
        self.life.written(since, "in the round")

    def said(self, words):
        return any(words in line for n in self.others() for line in self.cluster.nodes[n].log_lines())

    def says_no_majority(self, n):
        """/readyz of a node without a majority: 503, and a check that fails says why."""
        answer = self.cluster.ask(n, "/readyz")
        if answer is None or answer[0] != 503:
            return False
        failed = [one for one in json.loads(answer[1])["checks"] if not one["ok"]]
        return any("voters can be reached" in one["detail"] for one in failed)
