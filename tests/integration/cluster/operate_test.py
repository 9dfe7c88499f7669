#!/usr/bin/env python3
"""What operators do to a cluster of real processes, while clients write through every node and follow what is written.

    operate_test.py PROGRAM        environment: TROUPE_SEED

A broker is drained and used again without a failed request; leaders are elected; partitions get other replicas, with progress, and that is
called off; a node joins, votes, leads the quorum, and is taken out again. The history of the clients is checked at the end.
"""

import os
import time

import history
from clients import Load
from cluster_process import Cluster, free_ports, run_on_cluster, until

SEED = int(os.environ.get("TROUPE_SEED", "1"))
TOPIC = "orders"
PARTITIONS = 6
PATIENCE_S = 40


class Operator:
    """Asks through one node after the other: each has to do for all of it."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.turn = 0

    def next_node(self):
        alive = [n for n in sorted(self.cluster.nodes) if self.cluster.nodes[n].process and self.cluster.nodes[n].process.poll() is None]
        self.turn += 1
        return self.cluster.nodes[alive[self.turn % len(alive)]]

    def call(self, method, path, body=None, expect=(200,)):
        return self.next_node().call(method, path, body, expect=expect)

    def refused(self, method, path, body=None):
        status, _, answer = self.next_node().request(method, path, body)
        assert status >= 400, f"{method} {path}: {status} {answer[:300]}"
        return status, answer.decode()

    def brokers(self):
        return {one["id"]: one for one in self.call("GET", "/v1/cluster")["brokers"]}

    def partitions(self, query=""):
        found = self.call("GET", f"/v1/cluster/partitions?topic={TOPIC}{query}")
        return {one["partition"]: one for one in found["partitions"]}

    def reassign(self, wanted):
        """{partition: replicas or None}; the results by partition."""
        body = {"reassignments": [{"topic": TOPIC, "partition": p, "replicas": replicas} for p, replicas in wanted.items()]}
        results = self.call("POST", "/v1/cluster/reassignments", body)["results"]
        assert [one["partition"] for one in results] == list(wanted)
        return {one["partition"]: one for one in results}

    def reassigning(self):
        return {one["partition"]: one for one in self.call("GET", "/v1/cluster/reassignments")["reassignments"]}

    def settle(self, replicas):
        """Until these partitions have exactly these replicas, in sync."""
        def done():
            now = self.partitions()
            return all(now[p]["replicas"] == wanted and sorted(now[p]["isr"]) == sorted(wanted) and not now[p]["adding"]
                       for p, wanted in replicas.items())
        until(done, PATIENCE_S, lambda: f"{self.partitions()} instead of {replicas}")

    def voters(self, n=None):
        node = self.cluster.nodes[n] if n else self.next_node()
        return [one["id"] for one in node.call("GET", "/v1/cluster/quorum")["voters"]]

    def healthy(self):
        def well():
            return self.call("GET", "/v1/cluster/health")["healthy"]
        until(well, PATIENCE_S, lambda: self.call("GET", "/v1/cluster/health"))


def drain_without_a_failed_request(operator, log, broker):
    """Every broker once: nobody notices."""
    before = time.monotonic()
    answers = [operator.call("POST", f"/v1/cluster/brokers/{broker}/drain")]
    while answers[-1]["left"]:
        answers.append(operator.call("POST", f"/v1/cluster/brokers/{broker}/drain"))
    assert answers[-1]["state"] == "drained" and answers[-1]["leads"] == 0, answers
    assert sum(one["moved"] for one in answers) > 0, answers
    drained = time.monotonic()
    until(lambda: log.all_written_since(drained, PARTITIONS), PATIENCE_S, "not all partitions are written after the drain")
    assert all(one["leader"] != broker and broker in one["isr"] for one in operator.partitions().values())
    undrained = operator.call("POST", f"/v1/cluster/brokers/{broker}/undrain")
    assert undrained["state"] == "up", undrained
    operator.call("POST", "/v1/cluster/elections", {"type": "preferred"})
    until(lambda: all(one["leader"] == one["replicas"][0] for one in operator.partitions().values()), PATIENCE_S,
          lambda: f"not all preferred leaders lead: {operator.partitions()}")
    again = time.monotonic()
    until(lambda: log.all_written_since(again, PARTITIONS), PATIENCE_S, "not all partitions are written after the elections")
    troubles = log.troubles_between(before, time.monotonic())
    assert not troubles, f"failed requests during a drain of broker {broker}: {troubles[:5]}"
    silence, _ = log.longest_silence(before, time.monotonic())
    print(f"broker {broker} drained, used again, leads again: no failed request, longest silence {silence * 1000:.0f} ms", flush=True)


def elect(operator):
    one = operator.partitions()[0]
    to = next(id for id in one["isr"] if id != one["leader"])
    body = {"type": "to", "to": to, "partitions": [{"topic": TOPIC, "partition": 0}, {"topic": TOPIC, "partition": 99}]}
    results = operator.call("POST", "/v1/cluster/elections", body)["results"]
    assert results[0]["leader"] == to and results[0]["leader_epoch"] > one["leader_epoch"], results
    assert results[1]["error"]["code"] == "unknown_topic", results
    again = operator.call("POST", "/v1/cluster/elections", body)["results"][0]
    assert again["error"]["reason"] == "election_not_needed" or again["leader"] == to, again
    print(f"partition 0 went from {one['leader']} to {to}", flush=True)


def add_node(cluster):
    http_port, port = free_ports(2)
    node = cluster.process("node4", 4, http_port, port, "")
    node.options = ["--node-id", "4", "--cluster", f"127.0.0.1:{port}", "--join", f"127.0.0.1:{cluster.cluster_ports[1]}"]
    node.start(wait=False)
    cluster.nodes[4] = node
    until(lambda: cluster.ready(4), PATIENCE_S, lambda: f"node 4 does not join: {cluster.ask(4, '/readyz')}")


def open_on(cluster, n):
    return [one["partition"] for one in cluster.nodes[n].call("GET", "/v1/cluster/reassignments")["reassignments"]]


def reassign(cluster, operator):
    before = {p: one["replicas"] for p, one in operator.partitions().items()}
    # A copy that cannot be made: it stays open, is seen by every node, and is called off.
    cluster.nodes[4].kill()
    until(lambda: operator.brokers()[4]["state"] == "fenced", PATIENCE_S, "node 4 is not fenced")
    begun = operator.reassign({0: [4, before[0][1]]})[0]
    assert begun["adding"] == [4], begun
    until(lambda: all(open_on(cluster, n) == [0] for n in (1, 2, 3)), PATIENCE_S, "a node does not see it")
    assert operator.call("GET", "/v1/cluster/health")["reassigning"] == 1
    busy = operator.reassign({0: [1, 2]})[0]
    assert busy["error"]["reason"] == "reassignment_in_progress", busy
    off = operator.reassign({0: None})[0]
    assert off["replicas"] == before[0] and not off["adding"], off
    until(lambda: not operator.reassigning(), PATIENCE_S, "it is still there")
    assert operator.reassign({0: None})[0]["error"]["reason"] == "no_reassignment_in_progress"
    # One that comes to its end.
    cluster.nodes[4].start(wait=False)
    until(lambda: cluster.ready(4) and operator.brokers()[4]["state"] == "up", PATIENCE_S, "node 4 does not come back")
    wanted = {p: [4, *[id for id in replicas if id != replicas[0]][:2]] for p, replicas in before.items()}
    results = operator.reassign(wanted)
    assert all("error" not in one for one in results.values()), results
    operator.settle(wanted)
    until(lambda: not operator.reassigning(), PATIENCE_S, "it is still there")
    assert operator.brokers()[4]["replicas"] >= PARTITIONS
    print(f"a reassignment was called off, another brought {PARTITIONS} partitions to node 4", flush=True)
    return before


def votes(cluster, operator):
    assert operator.voters() == [1, 2, 3]
    added = operator.call("POST", "/v1/cluster/quorum/voters", {"id": 4})
    assert [one["id"] for one in added["voters"]] == [1, 2, 3, 4], added
    until(lambda: all(operator.voters(n) == [1, 2, 3, 4] for n in cluster.nodes), PATIENCE_S, "not all nodes know the voters")
    for n in cluster.nodes:
        quorum = cluster.nodes[n].call("GET", "/v1/cluster/quorum")
        assert all(one["log_end"] is not None and one["state"] in ("leader", "follower") for one in quorum["voters"]), quorum
    led = operator.call("POST", "/v1/cluster/quorum/transfer", {"to": 4})
    assert led["leader_id"] == 4, led
    until(lambda: cluster.controller() == 4, PATIENCE_S, lambda: cluster.controllers())
    best = operator.call("POST", "/v1/cluster/quorum/transfer")
    assert best["leader_id"] != 4 and best["epoch"] > led["epoch"], best
    for gone in (1, 4):
        left = operator.call("DELETE", f"/v1/cluster/quorum/voters/{gone}")
        assert gone not in [one["id"] for one in left["voters"]], left
    until(lambda: cluster.controller() in (2, 3), PATIENCE_S, lambda: cluster.controllers())
    operator.call("POST", "/v1/cluster/quorum/voters", {"id": 1})
    until(lambda: all(operator.voters(n) == [1, 2, 3] for n in cluster.nodes), PATIENCE_S, "not all nodes know the voters")
    assert operator.refused("POST", "/v1/cluster/quorum/voters", {"id": 9})[0] == 404
    assert operator.refused("DELETE", "/v1/cluster/quorum/voters/9")[0] == 404
    print("a vote was given to node 4, which led, and taken from it and from node 1, which has it again", flush=True)


def trees(cluster, operator):
    for n in cluster.nodes:
        nodes = cluster.nodes[n].call("GET", "/v1/cluster/tree")["nodes"]
        assert [one["node_id"] for one in nodes] == [1, 2, 3, 4], nodes
        assert all(any(actor["name"] == "metadata_quorum" for actor in one["actors"]) for one in nodes), nodes
    only = operator.call("GET", "/v1/cluster/tree?node=3")["nodes"]
    assert len(only) == 1 and only[0]["node_id"] == 3
    print(f"every node shows the actors of all: {sum(len(one['actors']) for one in nodes)}", flush=True)


def take_out(cluster, operator, before):
    status, told = operator.refused("DELETE", "/v1/cluster/brokers/4")
    assert status == 409 and "alive" in told, told
    operator.call("POST", "/v1/cluster/brokers/4/drain")
    operator.reassign(before)
    operator.settle(before)
    assert cluster.nodes[4].stop()[0] == 0
    del cluster.nodes[4]
    until(lambda: operator.brokers()[4]["state"] == "fenced", PATIENCE_S, "node 4 is not fenced")
    assert not operator.call("GET", "/v1/cluster/health")["healthy"]
    tree = {one["node_id"]: one for one in operator.call("GET", "/v1/cluster/tree")["nodes"]}
    assert "error" in tree[4] and "actors" in tree[1], tree[4]
    assert operator.refused("DELETE", "/v1/cluster/brokers/3")[0] == 409
    operator.call("DELETE", "/v1/cluster/brokers/4", expect=(204,))
    assert operator.refused("DELETE", "/v1/cluster/brokers/4")[0] == 404
    until(lambda: all(len(cluster.nodes[n].call("GET", "/v1/cluster")["brokers"]) == 3 for n in cluster.nodes), PATIENCE_S,
          "a node still knows broker 4")
    observers = operator.call("GET", "/v1/cluster/quorum")["observers"]
    assert not observers, f"who is forgotten is still shown: {observers}"
    print("node 4 was drained, emptied, stopped and forgotten", flush=True)


def run(cluster):
    cluster.start()
    for n in cluster.nodes:
        until(lambda n=n: cluster.ready(n), PATIENCE_S, lambda n=n: f"node {n} is not ready: {cluster.ask(n, '/readyz')}")
    cluster.nodes[1].call("POST", "/v1/topics", {"name": TOPIC, "partitions": PARTITIONS, "replication_factor": 3})
    cluster.wait_whole(TOPIC)
    operator = Operator(cluster)
    operator.healthy()
    log = history.History()
    load = Load(cluster, TOPIC, PARTITIONS, log, SEED)
    load.start(writers_a_node=1, retriers=1)
    until(lambda: log.all_written_since(0, PARTITIONS), PATIENCE_S, "nothing is written")
    for broker in (1, 2, 3):
        drain_without_a_failed_request(operator, log, broker)
    elect(operator)
    add_node(cluster)
    before = reassign(cluster, operator)
    load.check()
    votes(cluster, operator)
    trees(cluster, operator)
    take_out(cluster, operator, before)
    load.stop()
    operator.healthy()
    cluster.wait_whole(TOPIC)
    logs = {n: node.read_all(TOPIC) for n, node in cluster.nodes.items()}
    wrong = history.violations(log.attempts, logs, log.reads)
    assert not wrong, f"{len(wrong)} violations:\n" + "\n".join(wrong[:20])
    print(f"{len(log.attempts)} writes, {len(log.troubles)} failed requests in all, none while brokers were drained")


if __name__ == "__main__":
    run_on_cluster(f"TROUPE_SEED={SEED} operate_test.py PROGRAM", run)
