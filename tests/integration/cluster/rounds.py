#!/usr/bin/env python3
"""Random rounds of faults: three nodes in network namespaces, each with a disk of its own, under producing and consuming load.

    rounds.py PROGRAM NET_SWITCH FAULT_SHIM [--seed N] [--rounds M] [--life K] [--faults NAME,...] [--tls SHARE] [--operators SHARE]
              [--record] [--keep FOLDER]

--rounds M    that many random faults (20), of fault_kinds.py; a new cluster after each K rounds (20), or when a voter was given up
--faults ...  these, one after the other, on one cluster; instead of random ones
--tls         the share of clusters whose nodes speak TLS with each other (0.4)
--operators   the share of rounds beside whose fault an operator reassigns, drains or elects (0.3); see operators.py
--flush       of the topic; with `interval` a power cut of all loses what was acknowledged, so nobody listens
--find C1     succeeds when such a violation is found, and fails when none is: the rounds themselves, checked
--record      one more line in rounds.tsv; what a violation came from is noted by hand
--keep        where logs and histories of a failure are put (a new folder in the place for temporary files)

A round: a fault begins, is proven to be in force, clients get what may be expected meanwhile, the fault is mended, the cluster is whole
again, every partition is written, and every listener has been given what was acknowledged (listeners.py). At the end of a life
history.violations() holds all that clients were told against what each node gives. A violation ends the life and is told with its seed.
Root only; skipped, with the reason, where the machine does not allow it.
"""

import argparse
import collections
import datetime
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

import fault_kinds
import history
import network
import operators
import replica_logs
import support
from certificates import make_certificates
from clients import Load
from cluster_process import until
from listeners import Listeners, ends_of
from node_disks import Disk, Shim

TOPIC = "orders"
PARTITIONS = 6
# Generous: other programs may have the machine. What it took is printed.
GO_ON_S_MAX = 90
WHOLE_S_MAX = 90
SAY_S_MAX = 60
READY_S_MAX = 60
PACE_S = 0.02
FOLDER = os.path.dirname(os.path.abspath(__file__))


class Life:
    """One cluster, from its first start to its last."""

    def __init__(self, arguments, scratch, number, seed):
        self.topic = TOPIC
        self.arguments = arguments
        self.rounds = 0
        self.hangs = []  # (node, begin, end): when it could not answer
        self.done = collections.Counter()
        self.folder = scratch.file(f"life{number}")
        os.makedirs(self.folder)
        self.randomness = random.Random(f"{seed} beside")
        self.beside = collections.Counter()
        certificates = None
        if self.randomness.random() < arguments.tls:
            certificates = make_certificates(os.path.join(self.folder, "certificates"), range(1, fault_kinds.STRANGER + 1))
        self.switch = network.Switch(arguments.switch, 3, seed, strangers=1)
        self.cluster = network.NetworkedCluster(arguments.program, self.folder, self.switch, certificates=certificates)
        self.disks, self.shims = {}, {}
        for n, node in self.cluster.nodes.items():
            self.disks[n] = Disk(scratch, f"life{number}-disk{n}")
            self.shims[n] = Shim(arguments.shim, os.path.join(node.folder, "orders"))
            node.environment = self.shims[n].environment
            node.data_dir = os.path.join(self.disks[n].folder, "data")
        self.log = history.History()
        self.load = Load(self.cluster, TOPIC, PARTITIONS, self.log, seed, pace=PACE_S)
        self.listeners = Listeners(self.cluster, self.log, TOPIC, PARTITIONS, seed) if arguments.flush == "fsync" else None
        self.wrong = []
        self.ended = {}

    def begin(self):
        self.cluster.start()
        for n in self.cluster.nodes:
            until(lambda: self.cluster.ready(n), READY_S_MAX,  # noqa: B023
                  lambda: f"node {n} is not ready: {self.cluster.ask(n, '/readyz')}")  # noqa: B023
        if self.cluster.certificates:
            self.cluster.check_tls()
        self.cluster.nodes[1].call("POST", "/v1/topics", {"name": TOPIC, "partitions": PARTITIONS, "replication_factor": 3,
                                                           "config": {"flush": self.arguments.flush, "flush.ms": "60000"}})
        self.wait_whole()
        self.load.start(writers_a_node=1, retriers=3)
        if self.listeners:
            self.listeners.start()
        self.written(time.monotonic(), "in quiet")

    def wait_whole(self):
        return self.cluster.wait_whole(TOPIC, seconds=WHOLE_S_MAX)

    def written(self, since, what, partitions=range(PARTITIONS)):
        def told():
            counts = {p: len(self.log.acknowledged(since, p)) for p in partitions}
            recent = self.log.troubles_between(since, time.monotonic())
            return f"not all partitions were written {what}: {counts}; {collections.Counter(one.what for one in recent)}"
        until(lambda: all(any(one.sent >= since for one in self.log.acknowledged(since, p)) for p in partitions), GO_ON_S_MAX, told)

    def expected_end(self, n, code):
        if code is not None:
            self.ended[n] = code
            if code < 0:
                self.wrong.append(f"node {n} ended by signal {-code}")

    def check_processes(self):
        for n, node in self.cluster.nodes.items():
            assert node.process.poll() is None, f"node {n} ended with {node.process.returncode}\n{node.log_tail()}"

    def round(self, function, seed):
        self.rounds += 1
        one = fault_kinds.Round(self, function, seed)
        if one.randomness.random() < 0.2:
            one.background = one.randomness.choice(["lose=0.01 reorder=0.02", "delay=2 jitter=4"])
            self.switch.all(one.background)
        rest = [p["p"] for p in self.cluster.partitions(one.victim, TOPIC) if p["leader"] != one.victim]
        who = f"round {self.rounds}: {function.__name__}, {one.role}, node {one.victim}"
        self.doing = f"{who} (fault seed {seed})"
        begin = time.monotonic()
        operator = self.operate()
        of_operator = operator.partitions if operator else []
        fault = function(one)
        proof = next(fault)
        in_force = time.monotonic()
        self.meanwhile(one, in_force, [p for p in range(PARTITIONS) if p not in of_operator], [p for p in rest if p not in of_operator])
        lasted = time.monotonic() - begin
        next(fault, None)
        self.switch.all()
        mended = time.monotonic()
        if operator:
            one.note(f"an operator beside it: {operator.finish(WHOLE_S_MAX)}")
            self.beside[operator.function.__name__] += 1
        if self.cluster.certificates:
            self.beside["tls"] += 1
        healed = self.wait_whole()
        self.written(mended, "after the fault")
        end = time.monotonic()
        if self.listeners:
            self.listeners.wait_for(ends_of(self.log.acknowledged(begin)))
            one.note(f"listeners {time.monotonic() - end:.1f} s later")
        self.check_processes()
        self.load.check()
        self.done[function.__name__] += 1
        silence, _ = self.log.longest_silence(begin, end)
        worst, _ = max(self.log.longest_silence(begin, end, p) for p in range(PARTITIONS))
        troubles = collections.Counter(one.what for one in self.log.troubles_between(begin, end))
        print(f"{who}: {proof}; lasted {lasted:.1f} s; silence {silence * 1000:.0f} ms, of the worst partition {worst * 1000:.0f} ms; "
              f"whole {healed:.1f} s after its end{''.join(f'; {note}' for note in one.notes)}"
              f"{f'; links {one.background}' if one.background else ''}; troubles {dict(troubles)}", flush=True)

    def operate(self):
        """Beside some faults: an operator at work on two partitions, of which nothing is expected meanwhile."""
        if self.randomness.random() >= self.arguments.operators:
            return None
        function = self.randomness.choice(list(operators.OPERATIONS.values()))
        return operators.Operator(self.cluster, TOPIC, PARTITIONS, function, self.randomness.randrange(1 << 32))

    def meanwhile(self, one, in_force, partitions, rest):
        """What clients may expect while the fault lasts."""
        if one.expect == fault_kinds.GOES_ON:
            self.written(in_force, f"during {one.function.__name__}", partitions)
        elif one.expect == fault_kinds.OTHERS:
            self.written(in_force, f"during {one.function.__name__}, of those that others led", rest)
        elif one.expect == fault_kinds.NOTHING:
            for n in one.minority:
                until(lambda: one.says_no_majority(n), SAY_S_MAX,  # noqa: B023
                      lambda: f"node {n} does not say that it has no majority: {self.cluster.ask(n, '/readyz')}")  # noqa: B023
        one.rest(one.randomness.uniform(*((1.5, 4) if one.expect == fault_kinds.WHATEVER else (0.3, 2.5))))
        if one.expect == fault_kinds.NOTHING:
            now = time.monotonic()
            lonely = [each for each in self.log.acknowledged(in_force) if each.sent >= in_force and each.done < now]
            assert not lonely, f"acknowledged without a majority: {lonely[:3]}"

    def finish(self):
        self.load.stop()
        self.wait_whole()
        logs = {n: node.read_all(TOPIC) for n, node in self.cluster.nodes.items()}
        if self.listeners:
            self.listeners.wait_for({p: len(records) for p, records in logs[1].items()})
            self.listeners.stop()
            self.beside["resumed"] += sum(one.subscriptions - 1 for one in self.listeners.all)
        self.wrong += self.log.wrong + history.violations(self.log.attempts, logs, self.log.reads)
        self.wrong += history.answered(self.log.troubles, self.hangs)
        self.wrong += [f"not to be tried again: {one}" for one in self.log.troubles if not one.retry]
        outcomes = collections.Counter(one.outcome for one in self.log.attempts)
        for node in self.cluster.nodes.values():
            fault_kinds.stopped(node)
        replicas = {n: replica_logs.batches(node.data_dir) for n, node in self.cluster.nodes.items()}
        ends = {p: replica_logs.log_end(log) for p, log in replicas[1].items()}
        told = {p: len(logs[1].get(p, [])) for p in range(PARTITIONS)}
        assert ends == told, f"the logs on disk end at {ends}, and clients were told {told}"
        self.wrong += replica_logs.differences(replicas)
        print(f"life of {self.rounds} rounds: {dict(outcomes)}; {sum(map(len, logs[1].values()))} records; {self.log.repeats} repeats; "
              f"readers saw {[len(seen) for seen in self.log.reads.values()]}; {len(self.log.troubles)} failed requests; errors logged: "
              f"{self.errors_logged()}{f'; listeners {self.listeners.told()}' if self.listeners else ''}", flush=True)
        assert all(self.log.reads.values()), "a reader saw nothing"
        assert self.log.repeats > 0, "no request was repeated"

    def errors_logged(self):
        lines = [json.loads(line).get("msg") for node in self.cluster.nodes.values() for line in node.error_lines()]
        return dict(collections.Counter(lines))

    def end(self):
        self.load.stopping.set()
        for one in self.listeners.all if self.listeners else []:
            one.stopping.set()
        self.cluster.end()
        for n, disk in self.disks.items():
            disk.scratch.unmount(disk.folder)
            os.unlink(disk.image)
        for thread in self.load.threads:
            thread.join(1)

    def keep(self, folder):
        """Logs, data, trees of actors and history of a life that ended badly."""
        os.makedirs(folder, exist_ok=True)
        for n in self.cluster.nodes:
            for path in ("/v1/cluster/tree", "/readyz", "/v1/topics/" + TOPIC):
                with open(os.path.join(folder, f"node{n}.{os.path.basename(path)}.json"), "wb") as out:
                    out.write((self.cluster.ask(n, path, timeout=5) or (0, b"no answer"))[1])
        for n, node in self.cluster.nodes.items():
            shutil.copy(node.log_path, os.path.join(folder, f"node{n}.log"))
            shutil.copytree(self.disks[n].folder, os.path.join(folder, f"disk{n}"), dirs_exist_ok=True, ignore_dangling_symlinks=True)
        with open(os.path.join(folder, "history.txt"), "w", encoding="utf-8") as out:
            for one in [*self.wrong, *self.log.attempts, *self.log.troubles]:
                print(one, file=out)


def live(arguments, scratch, number, seed, wanted):
    """Rounds on one cluster: (done by kind, done beside them, violations)."""
    life = Life(arguments, scratch, number, seed)
    life.doing = "the first start"
    try:
        try:
            life.begin()
            for function, fault_seed in wanted:
                life.round(function, fault_seed)
            life.doing = "the last judgement"
            life.finish()
        except (AssertionError, OSError, subprocess.TimeoutExpired, http.client.HTTPException) as failure:
            life.wrong.append(f"{life.doing}: {type(failure).__name__}: {failure}")
        if life.wrong:
            folder = os.path.join(arguments.keep, f"seed{seed}-life{number}")
            life.keep(folder)
            print(f"VIOLATIONS {len(life.wrong)}, kept in {folder}:\n  " + "\n  ".join(life.wrong[:20]), flush=True)
        return life.done, life.beside, life.wrong
    except BaseException:
        print(life.cluster.logs(), flush=True)
        raise
    finally:
        life.end()


def lives(arguments):
    """For each life its seed and its faults."""
    if arguments.faults:
        names = arguments.faults.split(",")
        yield arguments.seed, [(fault_kinds.KINDS[name], f"{arguments.seed} {i} {name}") for i, name in enumerate(names)]
        return
    randomness = random.Random(arguments.seed)
    kinds = list(fault_kinds.KINDS.values())
    planned = []
    for i in range(arguments.rounds):
        function = randomness.choices(kinds, [each.weight for each in kinds])[0]
        planned.append((function, f"{arguments.seed} {i} {function.__name__}"))
        if function.last or len(planned) == arguments.life or i + 1 == arguments.rounds:
            yield randomness.randrange(1 << 32), planned
            planned = []


def named(counts):
    return " ".join(f"{name}={count}" for name, count in sorted(counts.items())) or "-"


def record(arguments, done, beside, violations, seconds, version):
    path = os.path.join(FOLDER, "rounds.tsv")
    row = [datetime.date.today().isoformat(), version, arguments.seed, sum(done.values()), violations, round(seconds), named(done), "-",
           named(beside)]
    with open(path, "a", encoding="utf-8") as table:
        print(*row, sep="\t", file=table)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("switch")
    parser.add_argument("shim")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("TROUPE_SEED", "1")))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--life", type=int, default=20)
    parser.add_argument("--faults", default="")
    parser.add_argument("--flush", choices=["fsync", "interval"], default="fsync")
    parser.add_argument("--tls", type=float, default=0.4)
    parser.add_argument("--operators", type=float, default=0.3)
    parser.add_argument("--find", default="")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--keep", default="")
    arguments = parser.parse_args()
    arguments.shim = os.path.abspath(arguments.shim)
    support.need_program("mkfs.ext4", "e2fsprogs")
    support.need_program("openssl", "openssl")
    network.enter_namespaces()
    arguments.keep = arguments.keep or tempfile.mkdtemp(prefix="troupe-rounds-")
    which = f"--faults {arguments.faults}" if arguments.faults else f"--rounds {arguments.rounds} --life {arguments.life}"
    print(f"reproduce: rounds.py PROGRAM NET_SWITCH FAULT_SHIM --seed {arguments.seed} {which}", flush=True)
    began = time.monotonic()
    done, beside, wrong = collections.Counter(), collections.Counter(), []
    with support.Scratch("rounds") as scratch:
        for number, (seed, wanted) in enumerate(lives(arguments)):
            print(f"life {number}, seed {seed}: {[function.__name__ for function, _ in wanted]}", flush=True)
            finished, also, found = live(arguments, scratch, number, seed, wanted)
            done += finished
            beside += also
            wrong += found
    seconds = time.monotonic() - began
    print(f"{sum(done.values())} rounds in {seconds:.0f} s, {len(wrong)} violations: {dict(sorted(done.items()))}, beside them "
          f"{dict(sorted(beside.items()))}", flush=True)
    if arguments.record:
        version = os.popen(f"'{arguments.program}' version").read().strip()
        record(arguments, done, beside, len(wrong), seconds, version)
    if arguments.find:
        found = [one for one in wrong if one.startswith(arguments.find)]
        print(f"{len(found)} violations of {arguments.find} were to be found", flush=True)
        shutil.rmtree(arguments.keep, ignore_errors=True)
        sys.exit(0 if found else 1)
    if os.path.isdir(arguments.keep) and not os.listdir(arguments.keep):
        os.rmdir(arguments.keep)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
