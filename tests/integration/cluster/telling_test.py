#!/usr/bin/env python3
"""What a cluster of real processes tells when something is wrong: a voter that lost its vote, a topic whose leader is gone, replicas
that cannot be placed, a foreign node, TLS that does not fit.

    telling_test.py PROGRAM
"""

import json
import os
import shutil
import time

from cluster_process import NodeProcess, free_ports, run_on_cluster, until
from tls_test import SecureCluster, make_certificates

PATIENCE_S = 40


def health(cluster, n):
    return cluster.nodes[n].call("GET", "/v1/cluster/health")


def told_by_all(cluster, *words):
    """Until every node that runs says all of that among its problems."""
    def told():
        running = [n for n, node in cluster.nodes.items() if node.process.poll() is None]
        return all(any(all(word in problem for word in words) for problem in health(cluster, n)["problems"]) for n in running)
    until(told, PATIENCE_S, lambda: [health(cluster, n) for n, node in cluster.nodes.items() if node.process.poll() is None])


def all_ready(cluster):
    for n in cluster.nodes:
        until(lambda n=n: cluster.ready(n), PATIENCE_S, lambda n=n: f"node {n} is not ready: {cluster.ask(n, '/readyz')}")


def check_of(node, name):
    """One check of /readyz, which answers 503 as well."""
    checks = json.loads(node.get("/readyz")[1])["checks"]
    return next((one for one in checks if one["name"] == name), {"ok": True, "detail": "not told yet"})


def lost_vote(cluster):
    """A voter comes back without its directory: it is up, and has no vote."""
    controller = until(cluster.controller, PATIENCE_S, cluster.controllers)
    lost = next(n for n in cluster.nodes if n != controller)
    other = next(n for n in cluster.nodes if n not in (controller, lost))
    cluster.nodes[lost].kill()
    shutil.rmtree(cluster.nodes[lost].folder)
    os.makedirs(cluster.nodes[lost].folder)
    cluster.nodes[lost].start(wait=False)
    until(lambda: cluster.ready(lost), PATIENCE_S, lambda: f"node {lost} does not come back: {cluster.ask(lost, '/readyz')}")
    told_by_all(cluster, f"voter {lost} has no vote", f"voters remove {lost}")
    for n in cluster.nodes:
        told = health(cluster, n)
        assert (told["healthy"], told["voters"], told["voters_up"], told["brokers_up"]) == (False, 3, 2, 3), told
    # With one more gone there is no majority: the node that is left does not count the one without a vote.
    cluster.nodes[controller].kill()
    until(lambda: json.loads(cluster.nodes[other].get("/readyz")[1])["checks"] and "1 of 3 voters can be reached" in
          check_of(cluster.nodes[other], "cluster")["detail"], PATIENCE_S, lambda: check_of(cluster.nodes[other], "cluster"))
    assert f"node {lost} came back without" in check_of(cluster.nodes[other], "cluster")["detail"]
    assert health(cluster, other)["voters_up"] == 1, health(cluster, other)
    cluster.nodes[controller].start(wait=False)
    all_ready(cluster)
    cluster.nodes[other].call("DELETE", f"/v1/cluster/quorum/voters/{lost}")
    cluster.nodes[other].call("POST", "/v1/cluster/quorum/voters", {"id": lost})
    until(lambda: health(cluster, other)["healthy"], PATIENCE_S, lambda: health(cluster, other))
    quorum = cluster.nodes[other].call("GET", "/v1/cluster/quorum")
    assert not [one for one in quorum["observers"] if one["state"] == "silent"], quorum
    print(f"voter {lost} lost its vote, every node said so, and it has one again", flush=True)


def produce(node, topic, timeout_ms):
    began = time.monotonic()
    answer = node.request("POST", f"/v1/topics/{topic}/records?timeout={timeout_ms}", {"records": [{"value": 1}]})
    return answer, time.monotonic() - began


def leader_gone(cluster):
    """One copy, on a node that is killed; two, of which too few are left in sync."""
    cluster.nodes[1].call("POST", "/v1/topics", {"name": "alone", "replication_factor": 1})
    cluster.wait_whole("alone", replicas=1)
    leader = cluster.partitions(1, "alone")[0]["leader"]
    asked = next(n for n in cluster.nodes if n != leader)
    (status, _, body), _ = produce(cluster.nodes[asked], "alone", 5000)
    assert status == 200, body
    cluster.nodes[leader].kill()
    until(lambda: cluster.partitions(asked, "alone")[0]["leader"] in (None, -1), PATIENCE_S, lambda: cluster.partitions(asked, "alone"))
    (status, headers, body), took = produce(cluster.nodes[asked], "alone", 700)
    assert status == 503 and json.loads(body)["code"] == "no_leader" and "Retry-After" in headers, (status, headers, body)
    assert 0.6 < took < 2, took
    # Copies go elsewhere while there is room; a third one waits for the node that is down.
    cluster.nodes[asked].call("POST", "/v1/topics", {"name": "pairs", "partitions": 6, "replication_factor": 2})
    for one in cluster.partitions(asked, "pairs"):
        assert leader not in one["replicas"], one
    cluster.nodes[asked].call("POST", "/v1/topics", {"name": "strict", "replication_factor": 3, "config": {"min.insync.replicas": "3"}})
    (status, headers, body), _ = produce(cluster.nodes[asked], "strict", 5000)
    assert status == 503 and json.loads(body)["code"] == "not_enough_replicas" and "Retry-After" in headers, (status, headers, body)
    cluster.nodes[leader].start(wait=False)
    all_ready(cluster)
    print(f"a topic without leader was refused after {took:.1f} s with 503 no_leader", flush=True)


def drained(cluster):
    cluster.nodes[1].call("POST", "/v1/cluster/brokers/3/drain")
    status, _, body = cluster.nodes[2].request("POST", "/v1/topics", {"name": "wide", "replication_factor": 3})
    assert status == 400 and "2 of 3 brokers can take copies: broker 3 is draining" in body.decode(), (status, body)
    cluster.nodes[1].call("POST", "/v1/cluster/brokers/3/undrain")


def foreign_node(cluster, folder):
    """A node that is a cluster of its own, and was told of nodes of this one."""
    http_port, port = free_ports(2)
    alone = NodeProcess(cluster.program, os.path.join(folder, "foreign"),
                        ["--node-id", "9", "--cluster", f"127.0.0.1:{port}", "--voters", f"9@127.0.0.1:{port}"], http_port)
    os.makedirs(alone.folder)
    alone.start()
    assert alone.stop()[0] == 0
    alone.options = ["--node-id", "9", "--cluster", f"127.0.0.1:{port}", "--voters", f"9@127.0.0.1:{port}," + cluster.voters]
    alone.start()  # ready: it is a majority of its own
    try:
        until(lambda: not check_of(alone, "links")["ok"], PATIENCE_S, lambda: check_of(alone, "links"))
        told = alone.call("GET", "/v1/cluster/health")
        assert not told["healthy"] and any("links" in one and "cluster" in one for one in told["problems"]), told
    finally:
        alone.end()
    print("a node of another cluster says so", flush=True)


def odd_tls(cluster, folder):
    """Three nodes that shall be one cluster, of which the third has another authority, or no TLS."""
    certificates = make_certificates(os.path.join(folder, "certificates"))
    others = make_certificates(os.path.join(folder, "others"))
    for kind in ("authority", "plain"):
        secure = SecureCluster(cluster.program, os.path.join(folder, kind), certificates)
        odd = secure.nodes[3]
        if kind == "authority":
            foreign = SecureCluster(cluster.program, os.path.join(folder, kind, "odd"), others)
            odd = foreign.secure("node3", 3, 3, odd.port, secure.cluster_ports[3], secure.voters)
        else:
            odd.options = ["--node-id", "3", "--cluster", f"127.0.0.1:{secure.cluster_ports[3]}", "--voters", secure.voters]
        secure.nodes[3] = odd
        try:
            secure.start()
            for n, whom in ((1, "node 3"), (2, "node 3"), (3, "node 1")):
                def told(n=n, whom=whom):
                    check = check_of(secure.nodes[n], "links")
                    return not check["ok"] and whom in check["detail"] and "[cluster.tls]" in check["detail"]
                until(lambda n=n: secure.ask(n, "/readyz"), PATIENCE_S, lambda n=n: f"node {n} does not answer")  # noqa: B023
                until(told, PATIENCE_S, lambda n=n: check_of(secure.nodes[n], "links"))  # noqa: B023
        finally:
            secure.end()
    print("another authority, and a node without TLS, are told by both sides", flush=True)


def run(cluster):
    cluster.start()
    all_ready(cluster)
    drained(cluster)
    leader_gone(cluster)
    lost_vote(cluster)
    foreign_node(cluster, cluster.folder)
    cluster.end()
    if shutil.which("openssl"):
        odd_tls(cluster, cluster.folder)


if __name__ == "__main__":
    run_on_cluster("telling_test.py PROGRAM", run)
