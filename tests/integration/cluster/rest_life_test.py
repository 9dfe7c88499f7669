"""A REST consumer's whole life, spread over three real nodes, of which those die that matter: the one that has the instance, and one that
passes its records on. No call fails twice, no record is skipped, and only what was read and not committed comes again.

   rest_life_test.py TROUPE
"""

import base64
import json
import sys
import threading
import time

from cluster_process import ASK_ERRORS, run_on_cluster, until

TOPIC = "orders"
PARTITIONS = 3
ROUNDS = 12
BATCH = 6
PATIENCE_S = 60
JSON_RECORDS = "application/vnd.kafka.json.v2+json"
V2 = "application/vnd.kafka.v2+json"


class Client:
    """Asks the nodes in turn, dead ones too; a call whose connection failed is asked once more, of the next node."""

    def __init__(self, cluster, group):
        self.cluster = cluster
        self.group = group
        self.turn = 0
        self.retries = 0
        self.longest_s = 0

    def once(self, method, path, body, accept):
        self.turn += 1
        node = self.cluster.nodes[1 + self.turn % 3]
        headers = {"Accept": accept, **({"Content-Type": V2} if body is not None else {})}
        status, _, answer = node.request(method, path, None if body is None else json.dumps(body), headers, timeout=30)
        return status, json.loads(answer) if answer else None

    def ask(self, method, path, body=None, accept=V2, expect=(200, 204)):
        began = time.monotonic()
        try:
            status, answer = self.once(method, path, body, accept)
        except ASK_ERRORS:
            self.retries += 1
            status, answer = self.once(method, path, body, accept)
        self.longest_s = max(self.longest_s, time.monotonic() - began)
        assert status in expect, f"{method} {path} of node {1 + self.turn % 3}: {status} {answer}"
        return answer

    def of(self, name, what=""):
        return f"/consumers/{self.group}/instances/{name}" + (f"/{what}" if what else "")

    def records(self, name, timeout_ms=2000):
        return self.ask("GET", self.of(name, f"records?timeout={timeout_ms}"), accept=JSON_RECORDS)


class Reader:
    """What an instance reads, checked as it comes."""

    def __init__(self, client, name):
        self.client = client
        self.name = name
        self.next = {}
        self.committed = {}
        self.values = []
        self.again = 0

    def poll(self, timeout_ms=2000):
        page = self.client.records(self.name, timeout_ms)
        for one in page:
            partition, offset = one["partition"], one["offset"]
            expected = self.next.get(partition, 0)
            assert offset <= expected, f"skipped: {partition} goes on at {offset}, not at {expected}"
            assert offset >= self.committed.get(partition, 0), f"{partition} {offset} was committed, and came again"
            self.again += expected > offset
            self.next[partition] = offset + 1
            self.values.append(one["value"])
        return len(page)

    def poll_all(self, count):
        """Until `count` different values are there."""
        until(lambda: self.poll() >= 0 and len(set(self.values)) >= count, PATIENCE_S, lambda: f"{len(set(self.values))} of {count}")

    def commit(self):
        wanted = dict(self.next)
        self.client.ask("POST", self.client.of(self.name, "offsets"),
                        {"offsets": [{"topic": TOPIC, "partition": p, "offset": n - 1} for p, n in wanted.items()]})
        self.committed = wanted


def produce(cluster, node, first, count):
    records = [{"key": str(i), "value": i} for i in range(first, first + count)]

    def once():
        try:
            status, _, _ = cluster.nodes[node].request("POST", f"/v1/topics/{TOPIC}/records", {"records": records}, timeout=20)
        except ASK_ERRORS:
            return False
        return status == 200

    until(once, PATIENCE_S, "records were not written")


def check_life(cluster, client):
    """Created on node 2, which dies in the middle."""
    client.turn = 0
    made = client.ask("POST", f"/consumers/{client.group}", {"name": "c1", "format": "json", "auto.offset.reset": "earliest",
                                                             "auto.commit.enable": "false",
                                                             "consumer.request.timeout.ms": PATIENCE_S * 1000})
    assert made["base_uri"] == f"{cluster.nodes[2].url}/consumers/{client.group}/instances/c1", made
    for _ in range(3):
        taken = client.ask("POST", f"/consumers/{client.group}", {"name": "c1"}, expect=(409,))
        assert taken["error_code"] == 40902, taken
    client.ask("POST", client.of("c1", "subscription"), {"topics": [TOPIC]})
    reader = Reader(client, "c1")
    sent = 0
    for number in range(ROUNDS):
        alive = 1 if number % 2 else 3
        produce(cluster, alive, sent, BATCH)
        sent += BATCH
        reader.poll_all(sent)
        if number == ROUNDS // 2:
            # It has read what is not committed, and the next one that it asks does not know it.
            assert reader.next != reader.committed
            cluster.nodes[2].kill()
            produce(cluster, alive, sent, BATCH)
            sent += BATCH
            reader.poll_all(sent)
        if number % 3 != 0:
            reader.commit()
        assert client.ask("GET", client.of("c1", "subscription")) == {"topics": [TOPIC]}
        assert len(client.ask("GET", client.of("c1", "assignments"))["partitions"]) == PARTITIONS
    assert sorted(set(reader.values)) == list(range(sent)), "values"
    query = ",".join(f"{TOPIC}:{p}" for p in range(PARTITIONS))
    stored = client.ask("GET", client.of("c1", f"offsets?partitions={query}"))["offsets"]
    assert {one["partition"]: one["offset"] for one in stored} == reader.committed, stored
    return reader, sent


def check_relay_dies(cluster, client, reader, sent):
    """A read waits on one node for the instance of another, and the first one dies: its records are not lost with it."""
    reader.commit()
    hosts = [n for n in (1, 3) if any(one["name"].startswith(f"{client.group}/") for one in actors(cluster, n, "consumer_coordinator"))]
    assert len(hosts) == 1, hosts
    relay = 4 - hosts[0]
    cluster.start(2)
    until(lambda: cluster.ready(2), PATIENCE_S, cluster.logs)
    cluster.wait_whole("__consumer_offsets", seconds=PATIENCE_S)
    cluster.wait_whole(TOPIC, seconds=PATIENCE_S)

    def wait_there():
        try:
            cluster.nodes[relay].request("GET", client.of("c1", "records?timeout=20000"), None, {"Accept": JSON_RECORDS}, timeout=30)
        except ASK_ERRORS:
            pass

    waits = threading.Thread(target=wait_there)
    before = asked(cluster, relay)
    waits.start()
    until(lambda: asked(cluster, relay) > before, PATIENCE_S, "the read did not arrive")
    cluster.nodes[relay].kill()
    waits.join()
    produce(cluster, hosts[0], sent, BATCH)
    reader.poll_all(sent + BATCH)
    reader.commit()
    return sent + BATCH


def actors(cluster, node, kind):
    tree = cluster.nodes[node].call("GET", f"/v1/cluster/tree?node={node}")["nodes"][0]["actors"]
    return [one for one in tree if one["kind"] == kind]


def asked(cluster, node):
    """Messages that a node's desk of instances has had."""
    return actors(cluster, node, "instance_desk")[0]["messages_handled"]


def check_refusals(client):
    """As on one node, wherever it is asked."""
    client.ask("POST", f"/consumers/{client.group}", {"name": "odd", "format": "json", "auto.offset.reset": "earliest",
                                                      "consumer.request.timeout.ms": PATIENCE_S * 1000})
    client.ask("POST", client.of("odd", "assignments"), {"partitions": [{"topic": "odd", "partition": 0}]})
    for _ in range(3):
        refused = client.ask("GET", client.of("odd", "records"), accept="application/vnd.kafka.binary.v2+json", expect=(406,))
        assert refused["error_code"] == 40601, refused
        stuck = client.ask("GET", client.of("odd", "records?timeout=20000"), accept=JSON_RECORDS, expect=(408,))
        assert stuck["error_code"] == 40801, stuck
        unknown = client.ask("GET", client.of("nobody", "records"), accept=JSON_RECORDS, expect=(404,))
        assert unknown["error_code"] == 40403, unknown
        illegal = client.ask("POST", client.of("odd", "subscription"), {"topics": [TOPIC]}, expect=(409,))
        assert illegal["error_code"] == 40903, illegal
    client.ask("POST", client.of("odd", "positions"), {"offsets": [{"topic": "odd", "partition": 0, "offset": 1}]})
    assert [one["value"] for one in client.records("odd")] == [7]
    client.ask("DELETE", client.of("odd"))


def run(cluster):
    began = time.monotonic()
    cluster.start()
    until(lambda: all(cluster.ready(n) for n in cluster.nodes), PATIENCE_S, cluster.logs)
    for name, partitions in ((TOPIC, PARTITIONS), ("odd", 1)):
        cluster.nodes[1].call("POST", "/v1/topics", {"name": name, "partitions": partitions, "replication_factor": 3})
        cluster.wait_whole(name, seconds=PATIENCE_S)
    raw = base64.b64encode(b"no json").decode()
    status, _, answer = cluster.nodes[1].request("POST", "/topics/odd", json.dumps({"records": [{"value": raw}, {"value": "Nw=="}]}),
                                                 {"Content-Type": "application/vnd.kafka.binary.v2+json"})
    assert status == 200, answer
    client = Client(cluster, "readers")
    check_refusals(client)
    cluster.wait_whole("__consumer_offsets", seconds=PATIENCE_S)
    assert client.retries == 0, "calls failed while all nodes lived"
    reader, sent = check_life(cluster, client)
    sent = check_relay_dies(cluster, client, reader, sent)
    client.ask("DELETE", client.of("c1"))
    for _ in range(3):
        assert client.ask("GET", client.of("c1", "subscription"), expect=(404,))["error_code"] == 40403
    print(f"{sent} records, {reader.again} of them twice; {client.retries} calls were asked once more, "
          f"the longest took {client.longest_s:.2f} s; {time.monotonic() - began:.1f} s in all")


if __name__ == "__main__":
    run_on_cluster(f"rest_life_test.py {sys.argv[1]}", run)
