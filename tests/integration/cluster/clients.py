"""Clients of a cluster under fire: what they send, and what they were told, goes into a history."""

import http.client
import json
import random
import threading

import time

from history import Attempt

PAUSE_S = 0.02
# An answer within the timeout of a produce and a second (C9).
ANSWER_S_MAX = 31
PATIENCE_S = 3
# Codes that say that nothing was written: (status, code).
REFUSALS = {(503, "no_leader"), (503, "overloaded"), (500, "not_enough_replicas"), (503, "draining")}
UNKNOWN = {(500, "outcome_unknown"), (503, "timeout")}


class Connections:
    """One connection to each node, kept as long as it works."""

    def __init__(self, cluster, timeout):
        self.cluster = cluster
        self.timeout = timeout
        self.open = {}

    def post(self, n, path, body, headers):
        """(sent, status, answer, what). `sent`: whether a byte of the request may have left; `what`: the kind of failure."""
        connection = self.open.get(n)
        try:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.cluster.nodes[n].port, timeout=self.timeout)
                connection.connect()
                self.open[n] = connection
        except OSError as failure:
            return False, 0, b"", type(failure).__name__
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            answer = response.read()
            if response.will_close:
                self.close(n)
            return True, response.status, answer, ""
        except (OSError, http.client.HTTPException) as failure:
            self.close(n)
            return True, 0, b"", type(failure).__name__

    def close(self, n):
        connection = self.open.pop(n, None)
        if connection:
            connection.close()


class Load:
    """Writers and readers in threads, until `stop`."""

    def __init__(self, cluster, topic, partitions, history, seed, name=""):
        self.cluster = cluster
        self.topic = topic
        self.partitions = partitions
        self.history = history
        self.seed = seed
        self.name = name  # two loads of one topic have different ones
        self.stopping = threading.Event()
        self.failures = []
        self.threads = []

    def start(self, writers_a_node=2, retriers=2, readers_a_node=1):
        for n in self.cluster.nodes:
            for i in range(writers_a_node):
                self.run(self.write, f"writer{n}.{i}", n)
            for i in range(readers_a_node):
                self.run(self.read, f"reader{n}.{i}", n)
        for i in range(retriers):
            self.run(self.write_until_acknowledged, f"retrier{i}")

    def run(self, work, name, *arguments):
        def guarded():
            try:
                work(name, *arguments)
            except Exception as failure:  # told in the main thread
                self.failures.append(f"{name}: {type(failure).__name__}: {failure}")
        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self.threads.append(thread)
        thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(ANSWER_S_MAX + 5)
            assert not thread.is_alive(), f"{thread.name} does not end"
        self.check()

    def check(self):
        assert not self.failures, "\n".join(self.failures)

    def attempt(self, client, number, n, randomness):
        identity = f"{self.name}{client}/{number}"
        return Attempt(client, n, identity, randomness.randrange(self.partitions), f"k{number % 11}",
                       {"id": identity, "pad": "x" * (number * 37 % 200)}, time.monotonic())

    def body_of(self, one):
        return json.dumps({"records": [{"partition": one.partition, "key": one.key, "value": one.value}]})

    def judge(self, one, n, began, told):
        """Writes an answer into the history; whether the record is acknowledged."""
        sent, status, answer, what = told
        now = time.monotonic()
        one.done, one.node = now, n
        if not sent:
            one.outcome = "fail"
            self.history.trouble(began, now, one.client, n, what, True)
            return False
        if status == 0:
            one.outcome = "unknown"
            self.history.trouble(began, now, one.client, n, what, True)
            return False
        content = json.loads(answer)
        result = (content.get("results") or [{}])[0]
        if status == 200 and "o" in result:
            assert result["p"] == one.partition, f"{one.identity} was sent to partition {one.partition}: {result}"
            one.outcome, one.offset = "ok", result["o"]
            return True
        error = result.get("err") or content
        code = error.get("code")
        one.outcome = "fail" if (status, code) in REFUSALS else "unknown"
        retry = bool(error.get("retry")) or (status, code) in REFUSALS | UNKNOWN
        self.history.trouble(began, now, one.client, n, f"{status} {code}", retry, str(error.get("message"))[:200])
        return False

    def write(self, client, n):
        """Through one node; each try is a record of its own."""
        randomness = random.Random(f"{self.seed} {client}")
        connections = Connections(self.cluster, ANSWER_S_MAX)
        number = 0
        while not self.stopping.is_set():
            one = self.attempt(client, number, n, randomness)
            number += 1
            told = connections.post(n, f"/v1/topics/{self.topic}/records", self.body_of(one), {"Content-Type": "application/json"})
            done = self.judge(one, n, one.sent, told)
            self.history.add(one)
            if not done:
                self.stopping.wait(PAUSE_S)

    def write_until_acknowledged(self, client):
        """Through any node, with an Idempotency-Key: after a failure through another one, until it is acknowledged."""
        randomness = random.Random(f"{self.seed} {client}")
        connections = Connections(self.cluster, PATIENCE_S)
        numbers = sorted(self.cluster.nodes)
        number = 0
        while not self.stopping.is_set():
            n = randomness.choice(numbers)
            one = self.attempt(client, number, n, randomness)
            number += 1
            headers = {"Content-Type": "application/json", "Idempotency-Key": one.identity}
            maybe = False
            while True:
                began = time.monotonic()
                told = connections.post(n, f"/v1/topics/{self.topic}/records", self.body_of(one), headers)
                if self.judge(one, n, began, told):
                    break
                maybe = maybe or one.outcome == "unknown"
                one.outcome = "unknown" if maybe else "fail"
                if self.stopping.wait(PAUSE_S):
                    break
                n = numbers[(numbers.index(n) + 1) % len(numbers)]
            self.history.add(one)

    def read(self, reader, n):
        """Follows the topic through one node, page by page at its cursor."""
        seen = self.history.reads[reader]
        following = {p: 0 for p in range(self.partitions)}
        query = "from=earliest"
        while not self.stopping.is_set():
            began = time.monotonic()
            try:
                status, answer = self.cluster.nodes[n].get(f"/v1/topics/{self.topic}/records?{query}&limit=1000", timeout=ANSWER_S_MAX)
            except (OSError, http.client.HTTPException) as failure:
                self.history.trouble(began, time.monotonic(), reader, n, type(failure).__name__, True)
                self.stopping.wait(PAUSE_S)
                continue
            content = json.loads(answer)
            if status != 200:
                self.history.trouble(began, time.monotonic(), reader, n, f"{status} {content.get('code')}",
                                     (status, content.get("code")) in REFUSALS | UNKNOWN, str(content.get("message"))[:200])
                self.stopping.wait(PAUSE_S)
                continue
            for record in content["records"]:
                p, offset = record["p"], record["o"]
                assert offset == following[p], f"partition {p}: offset {offset} after {following[p] - 1}"
                following[p] += 1
                seen[(p, offset)] = record["v"]["id"]
            query = "cursor=" + content["cursor"]
            if content["end"]:
                self.stopping.wait(0.1)
