#!/usr/bin/env python3
"""What the death of a node costs those who write, and what copies cost: three real nodes on this machine.

usage: cluster_figures.py TROUPE silence kill|stop|term|drain [--trials N] [--of controller|leader]
       cluster_figures.py TROUPE mass [--trials N] [--partitions N]
       cluster_figures.py TROUPE price HTTP_LOAD [--trials N] [--seconds S]

silence: the longest time between two acknowledged writes to one partition, over all partitions that the victim led, with one writer each
through another node (6 partitions, 3 copies, `flush = fsync`). mass: from kill -9 of the leader of N partitions of 3 copies until each of
them has acknowledged a write. price: records a second of processor time of all nodes together, 3 nodes with 3 copies and acks = quorum
against one node.
Every figure comes with the machine's load at its begin and end.
"""

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "integration", "cluster"))

from cluster_process import Cluster, fresh_folder, until  # noqa: E402

PARTITIONS = 6
SETTLED_WRITES = 20  # acknowledged by each partition before the victim is hit
AFTER_S = {"kill": 1.5, "stop": 4.0, "term": 1.5, "drain": 2.0}
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 64


def produce_body(partitions):
    return json.dumps({"records": [{"partition": p, "value": 1} for p in partitions]})


class Writer(threading.Thread):
    """Writes to one partition through one node, one request at a time, until it is told to end."""

    def __init__(self, port, partition):
        super().__init__(daemon=True)
        self.port = port
        self.body = produce_body([partition])
        self.acknowledged = []
        self.failed = []
        self.over = False

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self.over:
            try:
                connection.request("POST", "/v1/topics/t/records", self.body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException) as failure:
                self.failed.append(repr(failure))
                connection.close()
                continue
            if response.status == 200 and b'"o":' in answer:
                self.acknowledged.append(time.monotonic())
            else:
                self.failed.append(f"{response.status} {answer[:120]!r}")

    def longest_silence_ms(self, since):
        times = [one for one in self.acknowledged if one >= since - 1]
        return 1000 * max(b - a for a, b in zip(times, times[1:]))


class Trial:
    """A new cluster with one topic."""

    def __init__(self, program, partitions, count=3, replicas=3):
        self.folder_holder = fresh_folder()
        self.cluster = Cluster(program, self.folder_holder.__enter__(), count)
        try:
            self.cluster.start()
            until(lambda: all(self.cluster.ready(n) for n in self.cluster.nodes), 60, self.cluster.logs)
            self.cluster.nodes[1].call("POST", "/v1/topics", {"name": "t", "partitions": partitions, "replication_factor": replicas})
            self.cluster.wait_whole("t", replicas, 120)
        except BaseException:
            self.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.cluster.end()
        self.folder_holder.__exit__(None, None, None)

    def victim(self, of):
        controller = self.cluster.controller()
        return controller if of == "controller" else next(n for n in self.cluster.nodes if n != controller)

    def led_by(self, victim, through):
        return [one["p"] for one in self.cluster.partitions(through, "t") if one["leader"] == victim]


def hit(cluster, victim, through, how):
    process = cluster.nodes[victim].process
    if how == "drain":
        cluster.nodes[through].call("POST", f"/v1/cluster/brokers/{victim}/drain", {})
    else:
        process.send_signal({"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}[how])


def silence(options):
    silences, failures = [], []
    for _ in range(options.trials):
        with Trial(options.program, PARTITIONS) as trial:
            victim = trial.victim(options.of)
            through = next(n for n in trial.cluster.nodes if n != victim)
            led = until(lambda: trial.led_by(victim, through), 30, "the victim leads nothing")  # noqa: B023
            writers = [Writer(trial.cluster.nodes[through].port, p) for p in led]
            for one in writers:
                one.start()
            until(lambda: all(len(one.acknowledged) >= SETTLED_WRITES for one in writers), 60, "nobody writes")  # noqa: B023
            at = time.monotonic()
            hit(trial.cluster, victim, through, options.how)
            until(lambda: time.monotonic() > at + AFTER_S[options.how], 60, "")  # noqa: B023
            count = [len(one.acknowledged) for one in writers]
            until(lambda: all(len(one.acknowledged) > n for one, n in zip(writers, count)), 60, trial.cluster.logs)  # noqa: B023
            for one in writers:
                one.over = True
            for one in writers:
                one.join(60)
            silences.append(max(one.longest_silence_ms(at) for one in writers))
            failures += [text for one in writers for text in one.failed]
    tell(f"silence after {options.how} of a {options.of}", silences, "ms",
         {"failed_requests": len(failures), "first_failures": failures[:3]})


def mass(options):
    times = []
    for _ in range(options.trials):
        with Trial(options.program, 3 * options.partitions) as trial:
            victim = trial.victim(options.of)
            through = next(n for n in trial.cluster.nodes if n != victim)
            led = trial.led_by(victim, through)
            open_now = set(led)
            trial.cluster.nodes[victim].process.send_signal(signal.SIGKILL)
            began = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", trial.cluster.nodes[through].port, timeout=60)
            while open_now:
                asked = sorted(open_now)
                connection.request("POST", "/v1/topics/t/records", produce_body(asked), {"Content-Type": "application/json"})
                answer = json.loads(connection.getresponse().read())
                open_now -= {p for p, one in zip(asked, answer["results"]) if "o" in one}
            times.append(1000 * (time.monotonic() - began))
            print(json.dumps({"partitions": len(led), "ms": round(times[-1])}), flush=True)
    tell(f"{options.partitions} partitions lose their leader: all write again", times, "ms", {})


def cpu_seconds(cluster):
    used = 0
    for node in cluster.nodes.values():
        with open(f"/proc/{node.process.pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / CLOCK_TICKS


def price(options):
    """Each round: one node, then three."""

    def load(count, replicas):
        with Trial(options.program, PARTITIONS, count, replicas) as trial:
            node = trial.cluster.nodes[1]
            command = [options.how, "produce", str(node.port), str(node.process.pid), str(CONNECTIONS)]
            subprocess.run([*command, "1", "/topics/t"], check=True, stdout=subprocess.DEVNULL)
            before = cpu_seconds(trial.cluster)
            done = subprocess.run([*command, str(options.seconds), "/topics/t"], check=True, stdout=subprocess.PIPE, text=True)
            used = cpu_seconds(trial.cluster) - before
            return json.loads(done.stdout)["count"] / used

    singles, replicated = [], []
    for _ in range(options.trials):
        singles.append(load(1, 1))
        replicated.append(load(3, 3))
    tell("requests of 10 records a second of processor time, one node", singles, "1/s", {})
    tell("the same, three nodes, three copies, acks = quorum", replicated, "1/s", {})
    tell("one node against three", [a / b for a, b in zip(singles, replicated)], "times", {})


def tell(what, values, unit, more):
    values = sorted(values)
    print(json.dumps({"what": what, "trials": len(values), "unit": unit, "median": round(statistics.median(values), 2),
                      "least": round(values[0], 2), "worst": round(values[-1], 2), **more, "load": os.getloadavg()[0]}), flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("program")
    parser.add_argument("what", choices=["silence", "mass", "price"])
    parser.add_argument("how", nargs="?")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--of", choices=["controller", "leader"], default="controller")
    parser.add_argument("--partitions", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    print(json.dumps({"load": os.getloadavg()[0]}), flush=True)
    {"silence": silence, "mass": mass, "price": price}[options.what](options)


if __name__ == "__main__":
    main()
