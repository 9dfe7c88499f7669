#!/usr/bin/python3
"""What consumer groups cost, and how fast they are: real nodes on this machine, members on WebSockets.

usage: group_figures.py TROUPE join    [--members 1000] [--partitions 1000] [--nodes 1]
       group_figures.py TROUPE groups  [--groups 10000]
       group_figures.py TROUPE commits [--members 50] [--seconds 5] [--nodes 1]
       group_figures.py TROUPE hang    [--nodes 3]
       group_figures.py TROUPE moves   [--nodes 3]

join: from the first member's request until each has its share of the partitions, and until the group calls itself stable, for which each
member has to have said so (heartbeats every 3 s, where there is no news).
groups: memory of one node for each group with one committed offset, and for each member that is alone in its group.
commits: acknowledgements that are answered when they are stored, each member one at a time, in its own partition; a second and by the
nodes' processor time.
hang: a member stops (SIGSTOP) without its connection closing; until all partitions have another owner. It asked to be pinged every 2 s
(`ping_ms`): about 4 s of silence are too much.
moves: three members read 12 partitions, into each of which a record goes every 20 ms; a fourth member comes, and goes. The longest time
between two records of a partition that stays where it is, while others move, and the same in the second before.
Every figure comes with the machine's load.
"""

import argparse
import asyncio
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

import websockets

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "integration", "cluster"))

from cluster_process import Cluster, fresh_folder, until  # noqa: E402

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
TOPIC = "work"
AT_ONCE = 64  # connections that are being made


def tell(what, values, unit, **more):
    values = sorted(values)
    print(json.dumps({"what": what, "trials": len(values), "unit": unit, "median": round(statistics.median(values), 3),
                      "least": round(values[0], 3), "worst": round(values[-1], 3), **more,
                      "load": round(os.getloadavg()[0], 1)}), flush=True)


class Trial:
    """A new cluster with one topic."""

    def __init__(self, options, partitions):
        self.folder_holder = fresh_folder()
        self.cluster = Cluster(options.program, self.folder_holder.__enter__(), options.nodes)
        self.nodes = self.cluster.nodes
        try:
            self.cluster.start()
            until(lambda: all(self.cluster.ready(n) for n in self.nodes), 60, self.cluster.logs)
            copies = min(3, options.nodes)
            self.nodes[1].call("POST", "/v1/topics", {"name": TOPIC, "partitions": partitions, "replication_factor": copies})
            self.cluster.wait_whole(TOPIC, copies, 120)
            # The groups' topic, before anything is timed.
            self.reset("first")
            until(lambda: "first" in self.listed(), 30, self.cluster.logs)
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

    def reset(self, group):
        self.nodes[1].call("POST", f"/v1/groups/{group}/reset", {"to_offset": 0, "partitions": [{"topic": TOPIC, "partition": 0}]})

    def listed(self):
        return {one["group"]: one for one in self.nodes[1].call("GET", "/v1/groups")["groups"]}

    def ports(self):
        return [node.port for node in self.nodes.values()]

    def processor_seconds(self):
        used = 0
        for node in self.nodes.values():
            with open(f"/proc/{node.process.pid}/stat", encoding="utf-8") as stat:
                fields = stat.read().rpartition(")")[2].split()
            used += int(fields[11]) + int(fields[12])
        return used / CLOCK_TICKS

    def memory(self):
        with open(f"/proc/{self.nodes[1].process.pid}/statm", encoding="utf-8") as statm:
            return int(statm.read().split()[1]) * PAGE


class Member:
    """One socket, one subscription. Lets go of what it is asked for at once."""

    def __init__(self, port, group):
        self.port = port
        self.group = group
        self.owned = set()
        self.arrived = {}  # times of each partition's records
        self.answers = asyncio.Queue()

    async def open(self):
        self.socket = await websockets.connect(f"ws://127.0.0.1:{self.port}/v1/ws", subprotocols=["troupe.v1.json"], ping_interval=None,
                                               compression=None, max_queue=None)

    async def join(self):
        await self.say({"id": 1, "op": "connect", "resume_grace_ms": 0},
                       {"id": 2, "op": "subscribe", "sub": "w", "topics": [TOPIC], "group": self.group, "ack": "manual",
                        "from": {"committed": True, "else": "earliest"}})

    async def say(self, *messages):
        await self.socket.send("\n".join(json.dumps(one) for one in messages))

    async def listen(self):
        async for text in self.socket:
            for line in text.split("\n"):
                message = json.loads(line)
                state = message.get("state")
                for record in message.get("r", []):
                    self.arrived.setdefault(record["p"], []).append(time.monotonic())
                partitions = message.get("partitions", {}).get(TOPIC, []) if message.get("ev") == "sub" else []
                if state == "assigned":
                    self.owned.update(partitions)
                elif state == "revoking":
                    await self.say({"op": "revoked", "sub": "w", "partitions": message["partitions"]})
                elif state in ("revoked", "lost"):
                    self.owned.difference_update(partitions)
                elif message.get("re", 0) > 2 or "error" in message:
                    await self.answers.put(message)


async def members_of(trial, groups):
    """All connected; nobody has joined."""
    ports = trial.ports()
    members = [Member(ports[i % len(ports)], group) for i, group in enumerate(groups)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def connect(one):
        async with gate:
            await one.open()

    await asyncio.gather(*(connect(one) for one in members))
    return members, [asyncio.ensure_future(one.listen()) for one in members]


async def stable(trial, count, patience_s=120):
    """When the groups of these sizes are stable: {group: members}."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        listed = await asyncio.to_thread(trial.listed)
        if all(listed.get(g, {}).get("state") == "stable" and listed[g]["members"] == n for g, n in count.items()):
            return time.monotonic()
        await asyncio.sleep(0.02)
    raise AssertionError(f"not stable after {patience_s} s: {list(listed.items())[:3]}")


async def close(members, listening):
    for one in listening:
        one.cancel()
    await asyncio.gather(*(one.socket.close() for one in members), return_exceptions=True)


async def join(options):
    shared, times, costs = [], [], []
    share = options.partitions // options.members
    for _ in range(options.trials):
        with Trial(options, options.partitions) as trial:
            members, listening = await members_of(trial, ["g"] * options.members)
            used = trial.processor_seconds()
            began = time.monotonic()
            for one in members:
                await one.join()
            while not all(len(one.owned) == share for one in members):
                assert time.monotonic() < began + 120, sorted(len(one.owned) for one in members)
                await asyncio.sleep(0.01)
            shared.append(time.monotonic() - began)
            times.append(await stable(trial, {"g": options.members}) - began)
            costs.append(1000 * (trial.processor_seconds() - used) / options.members)
            owned = [p for one in members for p in one.owned]
            assert sorted(owned) == list(range(options.partitions)), "stable, but the members do not know it"
            await close(members, listening)
    what = f"{options.members} members join a group of {options.partitions} partitions, {options.nodes} node(s)"
    tell(what + ": each has its share", shared, "s")
    tell(what + ": stable", times, "s")
    tell("the same: processor time of the nodes for each member", costs, "ms")


async def groups(options):
    with Trial(options, 1) as trial:
        names = [f"group-{i:05d}" for i in range(options.groups)]
        before = trial.memory()
        for name in names:
            trial.reset(name)
        assert len(trial.listed()) == options.groups + 1
        offsets = trial.memory() - before
        tell(f"memory of a group with one committed offset, {options.groups} groups", [offsets / options.groups], "bytes")
        count = min(options.groups, options.members)
        members, listening = await members_of(trial, names[:count])
        before = trial.memory()
        for one in members:
            await one.join()
        await stable(trial, {name: 1 for name in names[:count]})
        tell(f"memory of a member, alone in its group, without its socket, {count} groups", [(trial.memory() - before) / count], "bytes")
        await close(members, listening)


async def commits(options):
    rates, costs, waits = [], [], []
    for _ in range(options.trials):
        with Trial(options, options.members) as trial:
            records = [{"partition": p, "value": 1} for p in range(options.members) for _ in range(10)]
            trial.nodes[1].call("POST", f"/v1/topics/{TOPIC}/records", {"records": records})
            members, listening = await members_of(trial, ["g"] * options.members)
            for one in members:
                await one.join()
            await stable(trial, {"g": options.members})
            until_time = 0
            counts = [0] * options.members

            async def work(number):
                one = members[number]
                partition = str(next(iter(one.owned)))
                request = 10
                while time.monotonic() < until_time:
                    request += 1
                    began = time.monotonic()
                    # Forwards and backwards in what was delivered: each is another offset to store.
                    await one.say({"id": request, "op": "ack", "sub": "w", "upto": {TOPIC: {partition: request % 9}}})
                    answer = await one.answers.get()
                    assert "error" not in answer, answer
                    waits.append(1000 * (time.monotonic() - began))
                    counts[number] += 1

            used = trial.processor_seconds()
            until_time = time.monotonic() + options.seconds
            await asyncio.gather(*(work(i) for i in range(options.members)))
            rates.append(sum(counts) / options.seconds)
            costs.append(1e6 * (trial.processor_seconds() - used) / sum(counts))
            await close(members, listening)
    tell(f"commits a second, {options.members} members, {options.nodes} node(s), each stored before it is answered", rates, "1/s")
    tell("the same: processor time of the nodes for each", costs, "us")
    tell("the same: how long a member waits", [statistics.median(waits)], "ms", p99=round(sorted(waits)[int(0.99 * len(waits))], 2))


def write_on(port, over):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"records": [{"partition": p, "value": 1} for p in range(12)]})
    while not over.wait(0.02):
        connection.request("POST", f"/v1/topics/{TOPIC}/records", body, {"Content-Type": "application/json"})
        connection.getresponse().read()


def longest_gap_ms(times, begin, end):
    seen = [one for one in times if begin <= one <= end]
    return 1000 * max(b - a for a, b in zip(seen, seen[1:]))


async def moves(options):
    quiet, moving, moved = [], [], 0
    for _ in range(options.trials):
        with Trial(options, 12) as trial:
            members, listening = await members_of(trial, ["g"] * 4)
            *first, fourth = members
            for one in first:
                await one.join()
            await stable(trial, {"g": 3})
            over = threading.Event()
            writer = threading.Thread(target=write_on, args=(trial.ports()[0], over))
            writer.start()
            try:
                await asyncio.sleep(2)
                began = time.monotonic()
                before = {p: one for one in first for p in one.owned}
                await fourth.join()
                await stable(trial, {"g": 4})
                stay = [(p, one) for p, one in before.items() if p in one.owned]
                await asyncio.sleep(0.5)
                end = time.monotonic()
                moved += 12 - len(stay)
                quiet.append(max(longest_gap_ms(one.arrived[p], began - 1, began) for p, one in stay))
                moving.append(max(longest_gap_ms(one.arrived[p], began - 0.05, end) for p, one in stay))
                began = time.monotonic()
                stay = [(p, one) for one in first for p in one.owned]
                await fourth.socket.close()
                await stable(trial, {"g": 3})
                await asyncio.sleep(0.5)
                moving.append(max(longest_gap_ms(one.arrived[p], began - 0.05, time.monotonic()) for p, one in stay))
            finally:
                over.set()
                writer.join()
            await close(first, listening)
    tell("longest time between two records of a partition, nothing moves", quiet, "ms")
    tell("the same, of partitions that stay while others move", moving, "ms", moved=moved)


async def hang(options):
    worker = os.path.join(ROOT, "tests", "integration", "cluster", "group_worker.py")
    beyond = []
    for _ in range(options.trials):
        with Trial(options, 12) as trial:
            members, listening = await members_of(trial, ["g"] * 2)
            for one in members:
                await one.join()
            await stable(trial, {"g": 2})
            log = os.path.join(trial.cluster.folder, "worker.log")
            process = subprocess.Popen([sys.executable, worker, "third", "g", TOPIC, log, str(trial.ports()[0])])
            try:
                await stable(trial, {"g": 3})
                process.send_signal(signal.SIGSTOP)
                began = time.monotonic()
                while sum(len(one.owned) for one in members) < 12:
                    assert time.monotonic() < began + 60, "nobody took over"
                    await asyncio.sleep(0.01)
                beyond.append(time.monotonic() - began)
            finally:
                process.kill()
                process.wait()
            await close(members, listening)
    tell(f"a member hangs: all partitions are owned again (`ping_ms` 2000)", beyond, "s")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("program")
    parser.add_argument("what", choices=["join", "groups", "commits", "hang", "moves"])
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--members", type=int)
    parser.add_argument("--partitions", type=int, default=1000)
    parser.add_argument("--groups", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--nodes", type=int)
    options = parser.parse_args()
    options.members = options.members or {"commits": 50}.get(options.what, 1000)
    options.nodes = options.nodes or {"hang": 3, "moves": 3}.get(options.what, 1)
    print(json.dumps({"load": os.getloadavg()[0]}), flush=True)
    asyncio.run({"join": join, "groups": groups, "commits": commits, "hang": hang, "moves": moves}[options.what](options))


if __name__ == "__main__":
    main()
