"""Listeners of a cluster under fire: WebSocket subscriptions and event streams through any node, that go on at another one by their cursor
when a node leaves them, or when they want to. What they are given has to be what comes next in each partition; it goes into the reads
of the history, and is held against the log at the end (C2, C6)."""

import json
import random
import threading
import time

import network
from clients import DEAD_DISK, REFUSALS, UNKNOWN
from cluster_process import ASK_ERRORS, until
from websocket_wire import RawSocket

PAUSE_S = 0.05
# How long a listener stays with a node that says nothing, and at most.
SILENCE_S = (1.5, 5)
STAY_S = (2, 15)
ANSWER_S = 5
CATCH_UP_S_MAX = 90


class Left(Exception):
    """The node ended the subscription, and said why."""

    def __init__(self, what, retry, detail):
        super().__init__(what)
        self.what, self.retry, self.detail = what, retry, detail


class Listener:
    """One, in a thread, from the beginning of a topic."""

    def __init__(self, cluster, log, topic, partitions, name, seed):
        self.cluster = cluster
        self.history = log
        self.topic = topic
        self.name = name
        self.randomness = random.Random(f"{seed} {name}")
        self.following = {p: 0 for p in range(partitions)}
        self.seen = log.reads[name]
        self.cursor = None
        self.at_cursor = dict(self.following)  # what is expected from there on
        self.subscriptions = 0
        self.nodes = set()  # that it was given records by
        self.node = self.randomness.choice(sorted(cluster.nodes))
        self.doing = ""
        self.stopping = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)

    def run(self):
        try:
            while not self.stopping.is_set():
                began = time.monotonic()
                try:
                    self.following = dict(self.at_cursor)
                    self.leave_at = began + self.randomness.uniform(*STAY_S)
                    self.follow(self.cluster.nodes[self.node])
                except Left as left:
                    self.history.trouble(began, began, self.name, self.node, left.what, left.retry, left.detail)
                except ASK_ERRORS:
                    pass  # it is gone, or starts
                self.node = self.randomness.choice([n for n in self.cluster.nodes if n != self.node])
                self.stopping.wait(PAUSE_S)
        except Exception as failure:  # told in the main thread
            self.failure = f"{self.name}, through node {self.node}: {type(failure).__name__}: {failure}"

    def done(self):
        return self.stopping.is_set() or time.monotonic() > self.leave_at

    def take(self, record):
        p, offset, identity = record["p"], record["o"], record["v"]["id"]
        if offset != self.following[p]:
            self.history.broken(f"C6: {self.name}, through node {self.node}: partition {p}: offset {offset} after {self.following[p] - 1}")
        self.following[p] = offset + 1
        before = self.seen.setdefault((p, offset), identity)
        if before != identity:
            self.history.broken(f"C2: {self.name} was given {before} at {p}/{offset}, and then {identity} through node {self.node}")
        self.nodes.add(self.node)

    def keep(self, cursor):
        self.cursor = cursor
        self.at_cursor = dict(self.following)

    def refused(self, status, body):
        """An answer that is no subscription."""
        try:
            error = json.loads(body)
        except ValueError:
            error = {}
        error = error.get("err", error)
        message = str(error.get("message"))
        retry = bool(error.get("retry")) or (status, error.get("code")) in REFUSALS | UNKNOWN or DEAD_DISK in message
        raise Left(f"{status} {error.get('code')}", retry, message[:200])


class SocketListener(Listener):
    def follow(self, node):
        with network.inside(node.namespace):
            try:
                socket = RawSocket(node.port, connected=False)
            except (AssertionError, IndexError) as failure:  # another answer than an upgrade, or half of one
                raise Left("no upgrade", True, str(failure)) from failure
        with socket:
            socket.say({"id": 1, "op": "connect"})
            if socket.expect(lambda each: each.get("re") == 1, ANSWER_S) is None:
                return
            start = {"cursor": self.cursor} if self.cursor else {"earliest": True}
            told = socket.ask({"id": 2, "op": "subscribe", "sub": "s", "topics": [self.topic], "from": start}, ANSWER_S)
            if not told:
                return
            if "ok" not in told:
                self.refused("subscribe", json.dumps(told))
            self.subscriptions += 1
            heard = time.monotonic()
            silence = self.randomness.uniform(*SILENCE_S)
            while not self.done() and time.monotonic() - heard < silence:
                one = socket.expect(lambda each: "ev" in each, 0.2)
                if one is None and (socket.closed or socket.close_code is not None):
                    return
                if one is None:
                    continue
                heard = time.monotonic()
                if one["ev"] == "goaway":
                    return
                self.hear(one)

    def hear(self, one):
        if one["ev"] == "records":
            for record in one["r"]:
                self.take(record)
        if "c" in one:
            self.keep(one["c"])
        if one["ev"] == "sub" and one["state"] == "ended":
            raise Left(f"ended {one['err'].get('code')}", bool(one["err"].get("retry")), str(one["err"].get("message"))[:200])
        if one["ev"] == "sub" and one["state"] not in ("caught_up", "live"):
            self.history.broken(f"C6: {self.name}, through node {self.node}: {one}")


class EventListener(Listener):
    """Only the last event of a piece has an id: after a connection was cut, what came behind the last id comes again."""

    def follow(self, node):
        connection = node.connection(self.randomness.uniform(*SILENCE_S))
        try:
            headers = {"Last-Event-ID": self.cursor} if self.cursor else {}
            connection.request("GET", f"/v1/topics/{self.topic}/events?from=earliest", headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                self.refused(response.status, response.read())
            self.subscriptions += 1
            fields = {}
            while not self.done():
                line = response.readline()
                if not line.endswith(b"\n"):
                    return
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if line.startswith(b":"):
                    continue  # a comment: the node is there
                if field:
                    fields[field] = value
                    continue
                self.hear(fields)
                fields = {}
        finally:
            connection.close()

    def hear(self, fields):
        event = fields.get("event", "message")
        if event == "end":
            error = json.loads(fields["data"])
            raise Left(f"end {error.get('code')}", error.get("code") == "slow_consumer" or bool(error.get("retry")), str(error)[:200])
        if event != "message":
            self.history.broken(f"C6: {self.name}, through node {self.node}: {fields}")
        elif "data" in fields:
            self.take(json.loads(fields["data"]))
        if "id" in fields:
            self.keep(fields["id"])


class Listeners:
    def __init__(self, cluster, log, topic, partitions, seed, of_a_kind=2):
        self.all = [kind(cluster, log, topic, partitions, f"{name}{i}", seed)
                    for name, kind in (("socket", SocketListener), ("events", EventListener)) for i in range(of_a_kind)]

    def start(self):
        for one in self.all:
            one.thread.start()

    def check(self):
        assert not any(one.failure for one in self.all), [one.failure for one in self.all if one.failure]

    def wait_for(self, ends):
        """Until everybody has been given what lies before these ends."""
        def heard():
            self.check()
            return all((p, end - 1) in one.seen for one in self.all for p, end in ends.items() if end > 0)

        def told():
            return "; ".join(f"{one.name} is at {one.following} through node {one.node}" for one in self.all) + f"; the ends are {ends}"
        until(heard, CATCH_UP_S_MAX, told)

    def stop(self):
        for one in self.all:
            one.stopping.set()
        for one in self.all:
            if one.thread.is_alive():
                one.thread.join(ANSWER_S + SILENCE_S[1])
        self.check()

    def told(self):
        return {one.name: f"{one.subscriptions} subscriptions, {len(one.seen)} records, by nodes {sorted(one.nodes)}" for one in self.all}


def ends_of(acknowledged):
    """What was acknowledged, as ends of partitions."""
    ends = {}
    for one in acknowledged:
        ends[one.partition] = max(ends.get(one.partition, 0), one.offset + 1)
    return ends
