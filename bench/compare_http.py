#!/usr/bin/env python3
"""Holds one node against ceilings: the same requests, in the same run, in turn; medians of the rounds, ratios of each round.

usage: compare_http.py TROUPE BENCH_FOLDER WORK_FOLDER [--rounds N] [--quick] [--only NAME]... [--seconds S]

WORK_FOLDER is on the file system to measure and is created and removed. The processor time is the server's alone, however
many clients share its cores; of a figure of wall clock that cannot be said. `must` and `aim` are the project's goals.
"""

import argparse
import contextlib
import http.client
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

START_S_MAX = 60
SUBSCRIBERS = 1000
TOPICS = 10_000
RATES = (400, 1000, 0)  # values a second of the fan-out; 0: as many as go


def run(*command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def memory_mb(process):
    with open(f"/proc/{process}/status", encoding="utf-8") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


class Server:
    """A server of its own process. `ready_ms`: from before its start to its ready line; `port`."""

    def __init__(self, *command, environment=None, ready=rb"(\d+)\n", pipe="stdout"):
        self.began = time.monotonic()
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, env=environment,
                                        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, pipe: subprocess.PIPE})
        text = b""
        output = getattr(self.process, pipe)
        while not re.search(ready, text):
            more = os.read(output.fileno(), 65536)
            if not more:
                sys.exit(f"{command[0]} did not start:\n{text.decode(errors='replace')}")
            text += more
        self.ready_ms = 1000 * (time.monotonic() - self.began)
        self.text = text.decode(errors="replace")

    @property
    def id(self):
        return self.process.pid

    def end(self):
        self.process.terminate()
        self.process.wait(START_S_MAX)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()


class Ceiling(Server):
    def __init__(self, *command):
        super().__init__(*command)
        self.port = int(self.text)


class Node(Server):
    """`troupe serve` on an empty or a used directory; lines of its log below warnings are not written."""

    def __init__(self, options, directory):
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            self.port = chosen.getsockname()[1]
        # TROUPE_ of the caller are not this node's.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TROUPE_")}
        super().__init__(options.troupe, "serve", "--data-dir", directory, "--http", f"127.0.0.1:{self.port}", "--log-level",
                         "warn", environment=environment, ready=rb"ready in .* ms", pipe="stderr")
        self.probed_ms = self.wait_ready()

    def wait_ready(self):
        deadline = self.began + START_S_MAX
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), contextlib.closing(self.connection()) as connection:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return 1000 * (time.monotonic() - self.began)
        sys.exit("the node was not ready in time")

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S_MAX)

    def create_topic(self, name, **config):
        with contextlib.closing(self.connection()) as connection:
            body = json.dumps({"name": name, "partitions": 1, "config": config})
            connection.request("POST", "/v1/topics", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status not in (200, 201):
                sys.exit(f"topic {name}: {answer.status} {answer.read()[:300]}")


class Bench:
    """Programs and folders; each `fresh()` folder is empty, on the file system to measure."""

    def __init__(self, options):
        self.options = options
        self.folders = 0

    def program(self, name):
        return os.path.join(self.options.bench, name)

    def fresh(self):
        self.folders += 1
        path = os.path.join(self.options.work, str(self.folders))
        os.makedirs(path)
        return path

    @contextlib.contextmanager
    def ceiling(self, name, *arguments):
        server = Ceiling(self.program(name), *arguments)
        try:
            yield server
        finally:
            server.end()

    @contextlib.contextmanager
    def node(self, directory=None):
        server = Node(self.options, directory or os.path.join(self.fresh(), "data"))
        try:
            yield server
        finally:
            server.end()


def settle():
    """What is still to be written back is nobody's cost here."""
    subprocess.run(["sync"], check=True)
    time.sleep(0.2)


# --- the cases: each answers rows of (name, ours, ceiling, kind); kind "more" is better or "less"


def produce(bench):
    seconds = bench.options.seconds

    def load(server, path):
        return run(bench.program("http_load"), "produce", server.port, server.id, 64, seconds, path)

    with bench.ceiling("http_ceiling", os.path.join(bench.fresh(), "file")) as ceiling, bench.node() as node:
        node.create_topic("interval", flush="interval")
        node.create_topic("fsync", flush="fsync")
        settle()
        bare = load(ceiling, "/topics/any")
        for flush in ("interval", "fsync"):
            ours = load(node, f"/topics/{flush}")
            yield f"HTTP produce, flush = {flush}", per_cpu(ours), per_cpu(bare)
            bench.note(f"HTTP produce, flush = {flush}", ours, bare, 10)


def fan_out(bench):
    options = bench.options

    def load(kind, server, rate):
        return run(bench.program("ws_load"), "fanout", kind, server.port, server.id, f"fan-{rate}", SUBSCRIBERS, rate,
                   options.seconds)

    with bench.ceiling("broadcast_ceiling") as ceiling, bench.node() as node:
        for rate in options.rate or RATES:
            node.create_topic(f"fan-{rate}", flush="interval")
            settle()
            bare = load("bare", ceiling, rate)
            ours = load("troupe", node, rate)
            name = f"WebSocket fan-out, {rate}/s" if rate else "WebSocket fan-out, no limit"
            yield name, per_cpu(ours), per_cpu(bare)
            bench.note(name, ours, bare, 1)


def end_to_end(bench):
    def load(kind, server, topic):
        return run(*realtime(), bench.program("ws_load"), "latency", kind, server.port, server.id, topic, 5000,
                   bench.options.seconds)

    for flush, mode in (("interval", "nosync"), ("fsync", "sync")):
        with bench.ceiling("log_server_ceiling", os.path.join(bench.fresh(), "file"), mode) as ceiling, bench.node() as node:
            node.create_topic("post", flush=flush)
            make_realtime(ceiling.id, node.id)
            settle()
            bare = load("bare", ceiling, "any")
            ours = load("troupe", node, "post")
            yield f"POST to WebSocket p50, {flush}", ours["p50_us"], bare["p50_us"]
            bench.note(f"POST to WebSocket, {flush}", ours, bare, 1)


def start(bench):
    settle()
    with bench.ceiling("http_ceiling", os.path.join(bench.fresh(), "file")) as ceiling:
        bare_ms, bare_mb = ceiling.ready_ms, memory_mb(ceiling.id)
    with bench.node() as node:
        yield "ready line, empty directory", node.ready_ms, bare_ms
        yield "/readyz, empty directory", node.probed_ms, bare_ms
        time.sleep(0.5)
        yield "memory idle", memory_mb(node.id), bare_mb


def topics(bench):
    def load(server):
        return run(bench.program("http_load"), "create", server.port, server.id, 16, TOPICS)

    settle()
    with bench.ceiling("http_ceiling", os.path.join(bench.fresh(), "file")) as ceiling:
        bare = load(ceiling)
        bare_mb, bare_ms = memory_mb(ceiling.id), ceiling.ready_ms
    directory = os.path.join(bench.fresh(), "data")
    with bench.node(directory) as node:
        ours = load(node)
        yield "10,000 topics created", ours["wall_s"], bare["wall_s"]
        bench.note("10,000 topics created", ours, bare, 1)
        time.sleep(2)
        yield "memory with them", memory_mb(node.id), bare_mb
    with bench.node(directory) as node:
        yield "ready again", node.ready_ms / 1000, bare_ms / 1000
        time.sleep(1)
        yield "memory after a restart", memory_mb(node.id), bare_mb


def per_cpu(figures):
    return figures["count"] / figures["cpu_s"]


def realtime():
    """For latency: the server and its load go before what else runs here, where that is allowed."""
    allowed = subprocess.run(["chrt", "-f", "10", "true"], stderr=subprocess.DEVNULL, check=False)
    return ["chrt", "-f", "10"] if allowed.returncode == 0 else []


def make_realtime(*processes):
    if realtime():
        for process in processes:
            subprocess.run(["chrt", "-a", "-f", "-p", "10", str(process)], check=True)


# --- goals: (must, aim, unit, how): a share of the ceiling, at most so many times the ceiling, or absolute at most

GOALS = {
    "HTTP produce, flush = interval": (0.50, 0.90, "/CPU-s", "share"),
    "HTTP produce, flush = fsync": (0.50, 0.90, "/CPU-s", "share"),
    "POST to WebSocket p50, interval": (4, 2, "us", "times"),
    "POST to WebSocket p50, fsync": (4, 2, "us", "times"),
    "ready line, empty directory": (150, 20, "ms", "at most"),
    "/readyz, empty directory": (150, 20, "ms", "at most"),
    "memory idle": (40, 12, "MB", "at most"),
    "10,000 topics created": (20, 3, "s", "at most"),
    "memory with them": (300, 100, "MB", "at most"),
    "ready again": (3, 1, "s", "at most"),
    "memory after a restart": (300, 100, "MB", "at most"),
}
FAN_OUT_GOAL = (0.30, 0.70, "/CPU-s", "share")
CASES = {"produce": produce, "fanout": fan_out, "latency": end_to_end, "start": start, "topics": topics}
ONCE = {"topics"}  # of the quick run: it is long, and varies little


class Report(Bench):
    def __init__(self, options):
        super().__init__(options)
        self.pairs = {}
        self.notes = {}

    def add(self, name, ours, ceiling):
        self.pairs.setdefault(name, []).append((ours, ceiling))

    def note(self, name, ours, bare, records):
        """Of each run: CPU a record, latency, what went over the wall clock."""
        self.notes.setdefault(name, []).append((ours, bare, records))

    def print_rows(self):
        print(f"{'':34} {'ours':>9} {'(min..max)':>19} {'ceiling':>9}        {'ratio (min..max)':>19}   {'must / aim':>13}")
        for name, pairs in self.pairs.items():
            must, aim, unit, how = GOALS.get(name, FAN_OUT_GOAL)
            ours, ceilings = zip(*pairs)
            ratios = [our / ceiling for our, ceiling in pairs]
            judged = statistics.median(ours if how == "at most" else ratios)
            reached = (lambda goal: judged >= goal) if how == "share" else (lambda goal: judged <= goal)
            verdict = "aim" if reached(aim) else "must" if reached(must) else "BELOW"
            span = f"({short(min(ours))}..{short(max(ours))})"
            ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
            goal = f"{must:g} / {aim:g}" + {"share": "", "times": " x", "at most": " " + unit}[how]
            print(f"{name:34} {short(statistics.median(ours)):>9} {span:>19} {short(statistics.median(ceilings)):>9} {unit:6} "
                  f"{ratio:>19}   {goal:>13}  {verdict}")

    def print_notes(self):
        print(f"\n{'':34} {'CPU a record, us':>20} {'answers or deliveries a second':>32} {'p50 / p99 / p99.9, us':>40}")
        print(f"{'':34} {'ours   ceiling':>20} {'ours   ceiling':>32} {'ours':>28} {'ceiling':>27}")
        for name, runs in self.notes.items():
            def middle(side, value):
                return statistics.median(value(run[side], run[2]) for run in runs)

            cpu = [middle(side, lambda f, records: 1e6 * f["cpu_s"] / f["count"] / records) for side in (0, 1)]
            rate = [middle(side, lambda f, _: f["count"] / f["wall_s"]) for side in (0, 1)]
            late = [" / ".join(short(middle(side, lambda f, _, key=key: f[key])) for key in ("p50_us", "p99_us", "p999_us"))
                    for side in (0, 1)]
            print(f"{name:34} {cpu[0]:10.3f} {cpu[1]:9.3f} {short(rate[0]):>22} {short(rate[1]):>9} {late[0]:>28} {late[1]:>27}")


def short(number):
    if number >= 100_000:
        return f"{number / 1e6:.2f}M" if number >= 1e6 else f"{number / 1e3:.0f}k"
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("troupe")
    parser.add_argument("bench")
    parser.add_argument("work")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load")
    parser.add_argument("--rate", type=int, action="append", help="values a second of the fan-out; 0: as many as go")
    parser.add_argument("--quick", action="store_true", help="one round of 1 s: to see that it runs")
    parser.add_argument("--only", choices=CASES, action="append")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
    os.makedirs(options.work)
    report = Report(options)
    loads = [os.getloadavg()[0]]
    try:
        for number in range(options.rounds):
            for name, case in CASES.items():
                if options.only and name not in options.only or number > 0 and name in ONCE and options.rounds <= 3:
                    continue
                for row in case(report):
                    report.add(*row)
        loads.append(os.getloadavg()[0])
    finally:
        shutil.rmtree(options.work, ignore_errors=True)
    version = subprocess.run([options.troupe, "version"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]
    print(f"{version}; {platform.system()} {platform.release()}, {os.cpu_count()} cores, "
          f"load {loads[0]:.1f} to {loads[-1]:.1f}, {options.rounds} rounds of {options.seconds:g} s")
    print(f"/CPU-s: requests or deliveries in a second of the server's processor time; latency "
          f"{'in the FIFO class' if realtime() else 'in the ordinary class'}; fan-out: {SUBSCRIBERS} subscribers, "
          f"values of 100 B, none lost")
    report.print_rows()
    report.print_notes()


if __name__ == "__main__":
    main()
