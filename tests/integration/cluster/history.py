"""Histories of clients, and whether they can be those of a log that keeps its word.

An attempt is one record that a client tried to write, however often it sent it. What came of it:
  ok       acknowledged, with partition and offset;
  fail     refused with an error that says that nothing was written, or never sent;
  unknown  anything else.

The claims have the names of docs/invariants.md's sources: C1 to C4, C6 to C9, P1, P3, R14. C5 is C2 for a reader who was too early.
P2 (a producer's order) is C4 for clients who send one request after the other; P4 is P1 and P3 across restarts and failovers.
"""

import collections
import dataclasses
import itertools
import threading

# The timeout of a produce, and a second (C9).
ANSWER_S_MAX = 31
# Attempts are added when they are done, by many threads: in order but for so much.
DISORDER_S = 1.0


@dataclasses.dataclass
class Attempt:
    client: str
    node: int          # that it was sent through, at last
    identity: str      # in the value; no two attempts have the same one
    partition: int
    key: str
    value: dict
    sent: float        # when it was sent for the first time; time.monotonic()
    done: float = 0.0  # when the answer was there
    outcome: str = "unknown"
    offset: int = -1
    batch: str = ""    # records of one request for one partition have the same one


@dataclasses.dataclass
class Trouble:
    """One request that did not succeed."""
    sent: float
    done: float
    client: str
    node: int
    what: str          # a code of the API, or the kind of exception
    retry: bool        # the answer said that another try may succeed
    detail: str = ""


class History:
    """Filled by many threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.attempts = []
        self.troubles = []
        self.wrong = []    # claims that were seen to be broken while it was filled, one sentence each
        self.repeats = 0   # requests that were sent again after their acknowledgement, and acknowledged again
        self.reads = collections.defaultdict(dict)  # reader -> {(partition, offset): identity}

    def add(self, attempt):
        with self.lock:
            self.attempts.append(attempt)

    def trouble(self, *arguments):
        with self.lock:
            self.troubles.append(Trouble(*arguments))

    def broken(self, sentence):
        with self.lock:
            self.wrong.append(sentence)

    def acknowledged(self, since=0.0, partition=None, node=None):
        with self.lock:
            recent = itertools.takewhile(lambda one: one.done >= since - DISORDER_S, reversed(self.attempts))
            return [one for one in recent if one.outcome == "ok" and one.done >= since and
                    partition in (None, one.partition) and node in (None, one.node)][::-1]

    def all_written_since(self, since, partitions):
        """Whether each partition has an acknowledged record that was sent later than that."""
        return {one.partition for one in self.acknowledged(since) if one.sent >= since} >= set(range(partitions))

    def longest_silence(self, begin, end, partition=None):
        """The longest time without an acknowledged write, and when it began after `begin`, in seconds."""
        times = sorted(one.done for one in self.acknowledged(begin, partition) if one.done <= end)
        points = [begin, *times, end]
        return max((later - earlier, earlier - begin) for earlier, later in zip(points, points[1:]))

    def troubles_between(self, begin, end):
        with self.lock:
            return [one for one in self.troubles if one.done >= begin and one.sent <= end]


def violations(attempts, logs, reads=None):
    """What is wrong, one sentence each. `logs`: node -> {partition: [record as the API gives it, in order]}."""
    found = []
    for node, log in logs.items():
        found += dense(node, log)
        found += once(node, log)
    found += same(logs)
    node, log = next(iter(logs.items()))
    at = {(p, record["o"]): record for p, records in log.items() for record in records}
    found += kept(attempts, at)
    found += refused_absent(attempts, at)
    found += known(attempts, at)
    found += real_time(attempts)
    found += whole_batches(attempts, at)
    for reader, seen in (reads or {}).items():
        found += steady(reader, seen, at)
    return found


def identity(record):
    return record["v"]["id"] if isinstance(record.get("v"), dict) else repr(record.get("v"))


def dense(node, log):
    for p, records in log.items():
        offsets = [record["o"] for record in records]
        if offsets != list(range(len(offsets))):
            wrong = next((i for i, offset in enumerate(offsets) if offset != i), len(offsets))
            yield f"dense: node {node}, partition {p}: offset {offsets[wrong]} at place {wrong}"


def once(node, log):
    seen = collections.defaultdict(list)
    for p, records in log.items():
        for record in records:
            seen[identity(record)].append((p, record["o"]))
    return [f"P1: node {node}: {one} is there {len(places)} times, at {places[:4]}" for one, places in seen.items() if len(places) > 1]


def same(logs):
    found = []
    (first, log), *others = logs.items()
    for node, other in others:
        for p in sorted(set(log) | set(other)):
            here, there = log.get(p, []), other.get(p, [])
            if len(here) != len(there):
                found.append(f"R14: partition {p}: {len(here)} records through node {first}, {len(there)} through node {node}")
            differ = next((i for i, pair in enumerate(zip(here, there)) if pair[0] != pair[1]), None)
            if differ is not None:
                found.append(f"R14: partition {p}: node {first} has {here[differ]}, node {node} {there[differ]}")
    return found


def kept(attempts, at):
    for one in attempts:
        if one.outcome != "ok":
            continue
        record = at.get((one.partition, one.offset))
        if record is None:
            yield f"C1: {one.identity} was acknowledged at {one.partition}/{one.offset} and is not there"
        elif record.get("k") != one.key or record.get("v") != one.value:
            yield f"C1: {one.identity} was acknowledged at {one.partition}/{one.offset}; there is {record}"


def refused_absent(attempts, at):
    there = {identity(record) for record in at.values()}
    return [f"C3: {one.identity} was refused, and is there" for one in attempts if one.outcome == "fail" and one.identity in there]


def known(attempts, at):
    """Nothing that nobody sent, and nothing where it was not sent to."""
    sent = {one.identity: one for one in attempts}
    for (p, offset), record in at.items():
        one = sent.get(identity(record))
        if one is None:
            yield f"C2: nobody sent {record}, partition {p}"
        elif one.partition != p or record.get("k") != one.key or record.get("v") != one.value:
            yield f"C2: {one.identity} was sent to partition {one.partition} with {one.key}, {one.value}; at {p}/{offset} is {record}"


def real_time(attempts):
    """C4: what was acknowledged before another was sent has the lower offset."""
    by_partition = collections.defaultdict(list)
    for one in attempts:
        if one.outcome == "ok":
            by_partition[one.partition].append(one)
    for p, acknowledged in by_partition.items():
        latest = None
        for one in sorted(acknowledged, key=lambda attempt: attempt.offset):
            if latest is not None and one.done < latest.sent:
                yield (f"C4: partition {p}: {one.identity} at {one.offset} was acknowledged {latest.sent - one.done:.3f} s before "
                       f"{latest.identity} at {latest.offset} was sent")
            if latest is None or one.sent > latest.sent:
                latest = one


def whole_batches(attempts, at):
    """C7: all records of a batch are there, one after the other, or none of them is."""
    batches = collections.defaultdict(list)
    for one in attempts:
        batches[one.batch or one.identity].append(one)
    places = {identity(record): offset for (_, offset), record in at.items()}
    for name, batch in batches.items():
        offsets = [places[one.identity] for one in batch if one.identity in places]
        if offsets and offsets != list(range(offsets[0], offsets[0] + len(batch))):
            yield f"C7: {name}: a batch of {len(batch)} records is at {offsets}"


def answered(troubles, may_hang=()):
    """C9: no answer took longer than the timeout and a second. `may_hang`: (node, begin, end), when a node could not answer."""
    for one in troubles:
        if one.done - one.sent > ANSWER_S_MAX and not any(
                node == one.node and one.sent <= end and one.done >= begin for node, begin, end in may_hang):
            yield f"C9: {one.client}, through node {one.node}: {one.what} after {one.done - one.sent:.1f} s"


def steady(reader, seen, at):
    """C2: what was read while nodes failed is what is read at the end; C6: nothing was passed over."""
    for (p, offset), one in seen.items():
        record = at.get((p, offset))
        if record is None:
            yield f"C2: {reader} read {one} at {p}/{offset}, and it is gone"
        elif identity(record) != one:
            yield f"C2: {reader} read {one} at {p}/{offset}, and there is {identity(record)}"
    for p in {p for p, _ in seen}:
        offsets = sorted(offset for q, offset in seen if q == p)
        if offsets != list(range(len(offsets))):
            yield f"C6: {reader} did not see all offsets of partition {p}"
