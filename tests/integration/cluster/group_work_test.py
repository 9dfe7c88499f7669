#!/usr/bin/env python3
"""Eight workers of one group over 24 partitions of three nodes, while workers are killed, paused and added, the node of the group's
coordinator is killed, and records flow: every record is worked on, in order within its partition, and twice only where a worker fell before
it had said so.

usage: group_work_test.py TROUPE [--seconds S]
"""

import collections
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

from cluster_process import run_on_cluster, until
from group_worker import CREDIT

PARTITIONS = 24
WORKERS = 8
TOPIC = "orders"
GROUP = "workers"
OWNED_S_MAX = 5.0  # by whoever is left; the figure is printed
SEED = int(os.environ.get("TROUPE_SEED", random.randrange(1 << 30)))
WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "group_worker.py")


class Producer(threading.Thread):
    """Writes to all partitions, through whichever node answers, until it is told to end."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.over = False
        self.written = 0

    def run(self):
        pause = threading.Event()
        at = 0
        while not self.over:
            at += 1
            node = self.cluster.nodes[1 + at % len(self.cluster.nodes)]
            body = {"records": [{"partition": p, "value": at} for p in range(PARTITIONS)]}
            try:
                answer = node.call("POST", f"/v1/topics/{TOPIC}/records", body)
                self.written += sum("o" in one for one in answer["results"])
            except (OSError, AssertionError, ValueError, KeyError):
                pass  # its node is away: how many of them there are, the log says
            pause.wait(0.02)


class Group:
    """The workers' processes, and what they wrote down."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.ports = [str(node.port) for node in cluster.nodes.values()]
        self.processes = {}
        self.fallen = []  # what was done to whom

    def add(self):
        number = len(self.processes)
        name = f"w{number}"
        ports = self.ports[number % len(self.ports):] + self.ports[:number % len(self.ports)]
        path = os.path.join(self.cluster.folder, f"{name}.jsonl")
        self.processes[name] = subprocess.Popen([sys.executable, WORKER, name, GROUP, TOPIC, path, *ports])
        return name

    def alive(self):
        return [name for name, process in self.processes.items() if process.poll() is None]

    def lines(self):
        """Of all workers, in the order of time. A line that is still being written is left for later."""
        all_lines = []
        for name in self.processes:
            path = os.path.join(self.cluster.folder, f"{name}.jsonl")
            if not os.path.exists(path):
                continue
            with open(path, encoding="utf-8") as log:
                for text in log:
                    if text.endswith("\n"):
                        all_lines.append(json.loads(text))
        return sorted(all_lines, key=lambda line: line["t"])

    def owners(self):
        """Who has each partition, by what the workers that live were told."""
        owners = {}
        alive = self.alive()
        for line in self.lines():
            name = line["worker"]
            if line["what"] in ("closed", "no_node"):
                owners = {p: owner for p, owner in owners.items() if owner != name}
            elif name not in alive:
                continue
            elif line["what"] == "assigned":
                owners.update({p: name for p in line["p"]})
            elif line["what"] in ("revoked", "lost", "revoking"):
                owners = {p: owner for p, owner in owners.items() if not (owner == name and p in line["p"])}
        return owners

    def owned(self, without=()):
        owners = self.owners()
        return len(owners) == PARTITIONS and not any(owner in without for owner in owners.values())

    def wait_owned(self, what, without=(), seconds=OWNED_S_MAX):
        began = time.monotonic()
        until(lambda: self.owned(without), 60, lambda: f"{what}: {len(self.owners())} of {PARTITIONS} have an owner: {self.owners()}")
        took = time.monotonic() - began
        print(f"{what}: all partitions are owned after {took:.2f} s", flush=True)
        assert took < seconds, f"{what}: {took:.2f} s"

    def end(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


def describe(cluster):
    for n in cluster.nodes:
        answer = cluster.show(n, f"/v1/groups/{GROUP}")
        if answer:
            return answer
    return None


def positions(cluster):
    """What the group has committed and where the log ends, of each partition; none before all are known."""
    shown = {one["partition"]: (one["committed"], one["log_end"]) for one in (describe(cluster) or {}).get("partitions", [])}
    return shown if len(shown) == PARTITIONS else None


def check(group, final):
    """Every record, in order, and twice only where somebody fell."""
    seen = collections.defaultdict(collections.Counter)
    gaps = []
    last = {}  # of each worker and partition, since the partition became its own
    for line in group.lines():
        name = line["worker"]
        if line["what"] in ("assigned", "revoked", "lost", "revoking"):
            for p in line["p"]:
                last.pop((name, p), None)
        if line["what"] in ("closed", "no_node"):
            last = {key: offset for key, offset in last.items() if key[0] != name}
        if line["what"] == "error":
            raise AssertionError(f"a worker was refused: {line}")
        if line["what"] != "record":
            continue
        p, o = line["p"], line["o"]
        before = last.get((name, p))
        if before is not None and o != before + 1:
            gaps.append((name, p, before, o))
        last[(name, p)] = o
        seen[p][o] += 1
    assert not gaps, f"out of order, worker, partition, from, to: {gaps[:5]}"
    missing = {p: [o for o in range(end) if o not in seen[p]][:5] for p, end in final.items() if len(seen[p]) < end}
    assert not missing, f"never worked on: {missing}"
    records = sum(final.values())
    repeats = sum(count - 1 for of_partition in seen.values() for count in of_partition.values())
    falls = len(group.fallen)
    print(f"{records} records, each worked on, in order; {repeats} twice, in {falls} falls", flush=True)
    assert repeats <= falls * WORKERS * CREDIT, f"{repeats} repeats for {falls} falls"
    return repeats


def run(cluster):
    random_source = random.Random(SEED)
    cluster.start()
    until(lambda: all(cluster.ready(n) for n in cluster.nodes), 60, cluster.logs)
    cluster.nodes[1].call("POST", "/v1/topics", {"name": TOPIC, "partitions": PARTITIONS, "replication_factor": 3})
    cluster.wait_whole(TOPIC)
    producer = Producer(cluster)
    group = Group(cluster)
    try:
        producer.start()
        for _ in range(WORKERS):
            group.add()
        group.wait_owned("eight workers have come", seconds=20)

        def rest():
            written = producer.written
            until(lambda: producer.written > written + 20 * PARTITIONS, 60, "nobody writes")

        rest()
        for _ in range(3):
            victim = random_source.choice(group.alive())
            group.fallen.append(("killed", victim))
            group.processes[victim].kill()
            group.processes[victim].wait()
            group.wait_owned(f"{victim} is killed", without=[victim])
            rest()
        for _ in range(2):
            name = group.add()
            until(lambda: name in group.owners().values(), 30, f"{name} gets nothing")  # noqa: B023
            group.wait_owned(f"{name} has come", seconds=20)
            rest()
        paused = random_source.choice(group.alive())
        group.processes[paused].send_signal(signal.SIGSTOP)
        rest()
        group.processes[paused].send_signal(signal.SIGCONT)
        rest()
        coordinator = until(lambda: (describe(cluster) or {}).get("coordinator"), 30, "nobody coordinates the group")
        group.fallen.append(("the coordinator's node", coordinator))
        cluster.nodes[coordinator].process.kill()
        cluster.nodes[coordinator].process.wait()
        group.wait_owned(f"the coordinator's node {coordinator} is killed", seconds=20)
        rest()
        cluster.start(coordinator)
        cluster.wait_whole(TOPIC)
        rest()
        producer.over = True
        producer.join(60)

        def all_done():
            shown = positions(cluster)
            return shown if shown and all(committed == end for committed, end in shown.values()) else None

        final = until(all_done, 60, lambda: f"not all is committed: {describe(cluster)}")
        check(group, {p: end for p, (_, end) in final.items()})
    finally:
        producer.over = True
        group.end()


if __name__ == "__main__":
    run_on_cluster(f"TROUPE_SEED={SEED} group_work_test.py TROUPE", run)
