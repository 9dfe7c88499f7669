"""Clients of a cluster under fire: what they send, and what they were told, goes into a history."""

import collections
import dataclasses
import http.client
import json
import random
import threading
import time

import history
from history import Attempt

PAUSE_S = 0.02
# An answer within the timeout of a produce and a second (C9); a client on a busy machine may notice it later.
ANSWER_S_MAX = history.ANSWER_S_MAX
SLACK_S = 4
# How long some clients wait before they ask another node. Nobody promises an answer by then.
PATIENCE_S = 3
BATCH_MAX = 5
REMEMBERED = 200
LATEST_EVERY_S = 0.5
# Codes that say that nothing was written: (status, code).
REFUSALS = {(503, "no_leader"), (503, "overloaded"), (503, "not_enough_replicas"), (503, "draining"), (507, "storage_full")}
# A read of a log whose disk has just died ends with 500, which says so; others lead soon.
DEAD_DISK = "Input/output error"
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
                connection = self.cluster.nodes[n].connection(self.timeout)
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

    def __init__(self, cluster, topic, partitions, log, seed, name="", pace=0):
        self.cluster = cluster
        self.topic = topic
        self.partitions = partitions
        self.history = log
        self.seed = seed
        self.name = name  # two loads of one topic have different ones
        self.pace = pace  # seconds that a writer rests after a success
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
            thread.join(ANSWER_S_MAX + SLACK_S + 5)
            assert not thread.is_alive(), f"{thread.name} does not end"
        self.check()

    def check(self):
        assert not self.failures, "\n".join(self.failures)

    def attempts(self, client, number, n, randomness, count=1):
        """The records of one request, for one partition."""
        partition = randomness.randrange(self.partitions)
        batch = f"{self.name}{client}/{number}"
        found = []
        for i in range(count):
            identity = f"{batch}.{i}" if count > 1 else batch
            found.append(Attempt(client, n, identity, partition, f"k{number % 11}", {"id": identity, "pad": "x" * (number * 37 % 200)},
                                 time.monotonic(), batch=batch))
        return found

    def post(self, connections, n, batch, key=None):
        headers = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
        body = json.dumps({"records": [{"partition": one.partition, "key": one.key, "value": one.value} for one in batch]})
        return connections.post(n, f"/v1/topics/{self.topic}/records", body, headers)

    def judge(self, batch, n, began, told):
        """Writes an answer into the history; whether all of it is acknowledged."""
        sent, status, answer, what = told
        now = time.monotonic()
        results = []
        if status:
            content = json.loads(answer)
            results = content.get("results") or [content] * len(batch)
            assert len(results) == len(batch), f"{len(batch)} records, and {len(results)} results: {answer[:300]}"
        else:
            self.history.trouble(began, now, batch[0].client, n, what, True)
        for i, one in enumerate(batch):
            one.done, one.node = now, n
            if not status:
                one.outcome = "unknown" if sent else "fail"
            elif status == 200 and "o" in results[i]:
                assert results[i]["p"] == one.partition, f"{one.identity} was sent to partition {one.partition}: {results[i]}"
                one.outcome, one.offset = "ok", results[i]["o"]
            else:
                error = results[i].get("err") or content
                code = error.get("code")
                one.outcome = "fail" if (status, code) in REFUSALS else "unknown"
                retry = bool(error.get("retry")) or (status, code) in REFUSALS | UNKNOWN
                self.history.trouble(began, now, one.client, n, f"{status} {code}", retry, str(error.get("message"))[:200])
        if status == 200 and now - began > ANSWER_S_MAX:
            self.history.trouble(began, now, batch[0].client, n, "200 late", True)
        outcomes = {one.outcome for one in batch}
        if len(outcomes) > 1:
            self.history.broken(f"C7: {batch[0].batch}: one batch was told {sorted(outcomes)}: {answer[:300]}")
        return outcomes == {"ok"}

    def write(self, client, n):
        """Through one node; each try is a record of its own."""
        randomness = random.Random(f"{self.seed} {client}")
        connections = Connections(self.cluster, ANSWER_S_MAX + SLACK_S)
        number = 0
        while not self.stopping.is_set():
            one = self.attempts(client, number, n, randomness)
            number += 1
            done = self.judge(one, n, one[0].sent, self.post(connections, n, one))
            self.history.add(one[0])
            if not done or self.pace:
                self.stopping.wait(PAUSE_S if not done else self.pace)

    def write_until_acknowledged(self, client):
        """Through any node, with an Idempotency-Key: after a failure through another one, until it is acknowledged. Some are batches;
        some that were acknowledged are sent once more, long after (P3)."""
        randomness = random.Random(f"{self.seed} {client}")
        connections = Connections(self.cluster, PATIENCE_S)
        numbers = sorted(self.cluster.nodes)
        acknowledged = collections.deque(maxlen=REMEMBERED)
        number = 0
        while not self.stopping.is_set():
            n = randomness.choice(numbers)
            batch = self.attempts(client, number, n, randomness, randomness.choice([1, 1, 1, randomness.randint(2, BATCH_MAX)]))
            number += 1
            before = "fail"
            while True:
                began = time.monotonic()
                if self.judge(batch, n, began, self.post(connections, n, batch, batch[0].batch)):
                    acknowledged.append(batch)
                    break
                if batch[0].outcome == "unknown":
                    before = "unknown"
                for one in batch:
                    one.outcome = before
                if self.stopping.wait(PAUSE_S):
                    break
                n = numbers[(numbers.index(n) + 1) % len(numbers)]
            for one in batch:
                self.history.add(one)
            if acknowledged and randomness.random() < 0.15:
                self.repeat(connections, randomness.choice(numbers), randomness.choice(acknowledged))
            if self.pace:
                self.stopping.wait(self.pace)

    def repeat(self, connections, n, batch):
        """A request that was acknowledged, with the same key: the answer is the same (P3), and the log too (P1)."""
        began = time.monotonic()
        again = [dataclasses.replace(one, outcome="unknown", offset=-1) for one in batch]
        if self.judge(again, n, began, self.post(connections, n, again, again[0].batch)):
            offsets = [one.offset for one in batch], [one.offset for one in again]
            if offsets[0] != offsets[1]:
                self.history.broken(f"P3: {batch[0].batch}, partition {batch[0].partition}: acknowledged at {offsets[0]}, and when it was "
                                    f"repeated at {offsets[1]}")
            self.history.repeats += 1

    def read(self, reader, n):
        """Follows the topic through one node, page by page at its cursor."""
        seen = self.history.reads[reader]
        following = {p: 0 for p in range(self.partitions)}
        latest = {}
        asked = 0
        query = "from=earliest"
        while not self.stopping.is_set():
            began = time.monotonic()
            try:
                if began - asked > LATEST_EVERY_S:
                    asked = began
                    self.ask_latest(reader, n, latest)
                status, answer = self.cluster.nodes[n].get(f"/v1/topics/{self.topic}/records?{query}&limit=1000",
                                                           timeout=ANSWER_S_MAX + SLACK_S)
            except (OSError, http.client.HTTPException) as failure:
                self.history.trouble(began, time.monotonic(), reader, n, type(failure).__name__, True)
                self.stopping.wait(PAUSE_S)
                continue
            content = json.loads(answer)
            if status != 200:
                message = str(content.get("message"))
                retry = (status, content.get("code")) in REFUSALS | UNKNOWN or DEAD_DISK in message
                self.history.trouble(began, time.monotonic(), reader, n, f"{status} {content.get('code')}", retry, message[:200])
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

    def ask_latest(self, reader, n, latest):
        """The ends of the partitions, as one client is told them through one node, never go back (C8)."""
        status, answer = self.cluster.nodes[n].get(f"/v1/topics/{self.topic}", timeout=ANSWER_S_MAX + SLACK_S)
        for one in json.loads(answer)["partitions"] if status == 200 else []:
            p, end = one["p"], one.get("end")
            if end is None:
                continue  # the node cannot say
            if end < latest.get(p, 0):
                self.history.broken(f"C8: {reader}: partition {p} ended at {latest[p]}, and then at {end}: {one}")
            latest[p] = max(end, latest.get(p, 0))
