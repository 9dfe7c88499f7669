#!/usr/bin/env python3
"""The checker of histories, itself checked: each planted violation is found by its name, and clean histories raise no alarm."""

import copy
import random

import history
import replica_logs
from history import Attempt
from listeners import EventListener


def clean(randomness, records=60, partitions=3):
    """A history as a log that keeps its word could have made it, and the log as three nodes give it."""
    log = {p: [] for p in range(partitions)}
    attempts = []
    now = 0.0
    for number in range(records):
        now += randomness.random()
        p = randomness.randrange(partitions)
        value = {"id": f"c/{number}", "pad": "x" * randomness.randrange(5)}
        one = Attempt("c", 1, value["id"], p, f"k{number % 4}", value, now - randomness.random() * 0.5, now + randomness.random() * 0.5)
        one.outcome = "ok" if number < 8 else randomness.choice(["ok", "ok", "ok", "fail", "unknown"])
        if one.outcome == "ok" or (one.outcome == "unknown" and randomness.random() < 0.5):
            record = {"p": p, "o": len(log[p]), "ts": 5, "k": one.key, "v": copy.deepcopy(value)}
            log[p].append(record)
            if one.outcome == "ok":
                one.offset = record["o"]
        attempts.append(one)
    logs = {n: copy.deepcopy(log) for n in (1, 2, 3)}
    reads = {"reader": {(p, record["o"]): record["v"]["id"] for p, records in log.items() for record in records[:7]}}
    return attempts, logs, reads


def busiest(logs):
    return max(logs[1], key=lambda p: len(logs[1][p]))


def everywhere(logs, change):
    for log in logs.values():
        change(log)


def first(attempts, outcome):
    return next(one for one in attempts if one.outcome == outcome)


def lose_last(attempts, logs, reads):
    p = busiest(logs)
    attempts.append(Attempt("c", 1, "c/lost", p, "k", {"id": "c/lost"}, 900, 901, "ok", len(logs[1][p])))


def replace_one(attempts, logs, reads):
    one = first(attempts, "ok")
    everywhere(logs, lambda log: log[one.partition][one.offset].update(v={"id": one.identity, "pad": "another"}))


def other_key(attempts, logs, reads):
    one = first(attempts, "ok")
    everywhere(logs, lambda log: log[one.partition][one.offset].update(k="another"))


def repeat(attempts, logs, reads):
    p = busiest(logs)
    everywhere(logs, lambda log: log[p].append({**log[p][0], "o": len(log[p])}))


def refused_and_there(attempts, logs, reads):
    one = first(attempts, "fail")
    everywhere(logs, lambda log: log[one.partition].append(
        {"p": one.partition, "o": len(log[one.partition]), "ts": 5, "k": one.key, "v": one.value}))


def hole(attempts, logs, reads):
    p = busiest(logs)
    everywhere(logs, lambda log: log[p][-1].update(o=log[p][-1]["o"] + 1))


def one_node_differs(attempts, logs, reads):
    logs[3][busiest(logs)][1]["ts"] = 6


def one_node_is_behind(attempts, logs, reads):
    logs[2][busiest(logs)].pop()


def nobody_sent(attempts, logs, reads):
    p = busiest(logs)
    everywhere(logs, lambda log: log[p].append({"p": p, "o": len(log[p]), "ts": 5, "k": "k", "v": {"id": "ghost"}}))


def back_in_time(attempts, logs, reads):
    p = busiest(logs)
    two = [one for one in attempts if one.outcome == "ok" and one.partition == p][:2]
    two[0].sent, two[0].done = 800, 801
    two[1].sent, two[1].done = 700, 701


def read_and_gone(attempts, logs, reads):
    p = busiest(logs)
    reads["reader"][(p, len(logs[1][p]))] = "c/uncommitted"


def read_another(attempts, logs, reads):
    reads["reader"][(busiest(logs), 0)] = "c/another"


def passed_over(attempts, logs, reads):
    del reads["reader"][(busiest(logs), 1)]


def torn_batch(attempts, logs, reads):
    one = first(attempts, "ok")
    attempts.append(Attempt("c", 1, "c/rest", one.partition, "k", {"id": "c/rest"}, 900, 901, "unknown", batch="torn"))
    one.batch = "torn"


def scattered_batch(attempts, logs, reads):
    p = busiest(logs)
    two = [one for one in attempts if one.outcome == "ok" and one.partition == p][:4:3]
    two[0].batch = two[-1].batch = "scattered"


PLANTED = [(lose_last, "C1"), (replace_one, "C1"), (other_key, "C1"), (repeat, "P1"), (refused_and_there, "C3"), (hole, "dense"),
           (one_node_differs, "R14"), (one_node_is_behind, "R14"), (nobody_sent, "C2"), (back_in_time, "C4"), (read_and_gone, "C2"),
           (read_another, "C2"), (passed_over, "C6"), (torn_batch, "C7"), (scattered_batch, "C7")]


def late_answers():
    late = history.Trouble(10, 45, "writer", 2, "503 no_leader", True)
    assert not list(history.answered([history.Trouble(10, 40, "writer", 2, "503 no_leader", True)]))
    assert not list(history.answered([late], [(2, 20, 30)]))
    for stopped in ([], [(1, 20, 30)], [(2, 0, 5)]):
        assert [one[:3] for one in history.answered([late], stopped)] == ["C9:"]


def replicas():
    one = {0: [(0, b"a"), (1, b"b")], 1: []}
    assert not list(replica_logs.differences({1: one, 2: copy.deepcopy(one), 3: copy.deepcopy(one)}))
    for other in ({0: one[0][:1], 1: []}, {0: [(0, b"a"), (1, b"c")], 1: []}, {0: one[0], 1: [(0, b"x")]}, {1: []}):
        assert [each[:4] for each in replica_logs.differences({1: one, 2: one, 3: other})] == ["R14:"], other


class NoCluster:
    nodes = {1: None, 2: None}


def listeners():
    """What a listener is given: (partition, offset, identity), or a cursor, which is where it goes on after a connection was cut."""
    def told(*given):
        log = history.History()
        one = EventListener(NoCluster, log, "t", 2, "listener", 1)
        for each in given:
            if each == "cut":
                one.following = dict(one.at_cursor)
            elif isinstance(each, str):
                one.keep(each)
            else:
                one.take({"p": each[0], "o": each[1], "v": {"id": each[2]}})
        return [sentence[:3] for sentence in log.wrong]
    assert not told((0, 0, "a"), (1, 0, "b"), "cursor", (0, 1, "c"), "cut", (0, 1, "c"), (0, 2, "d"))
    assert told((0, 0, "a"), (0, 2, "c")) == ["C6:"], "a hole"
    assert told((0, 0, "a"), (0, 0, "a")) == ["C6:"], "again, on one connection"
    assert told((0, 0, "a"), (0, 1, "b"), "cursor", "cut", (0, 1, "b")) == ["C6:"], "again, from before the cursor"
    assert told((0, 0, "a"), "cursor", (0, 1, "b"), "cut", (0, 2, "c")) == ["C6:"], "passed over by the next node"
    assert told((0, 0, "a"), (0, 1, "b"), "cut", (0, 0, "a"), (0, 1, "x")) == ["C2:"], "another record"


def main():
    tried = 0
    for seed in range(200):
        attempts, logs, reads = clean(random.Random(seed))
        alarms = history.violations(attempts, logs, reads)
        assert not alarms, f"seed {seed}: a clean history: {alarms[:3]}"
    for plant, name in PLANTED:
        for seed in range(20):
            planted = clean(random.Random(seed))
            if plant is refused_and_there and all(one.outcome != "fail" for one in planted[0]):
                continue
            plant(*planted)
            found = history.violations(*planted)
            assert any(one.startswith(name) for one in found), f"seed {seed}: {plant.__name__} was not found as {name}: {found[:3]}"
            tried += 1
    late_answers()
    replicas()
    listeners()
    print(f"200 clean histories without an alarm; {tried} planted violations of {len(PLANTED)} kinds found")


main()
