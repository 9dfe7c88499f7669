#!/usr/bin/env python3
"""The metadata of one of three nodes is damaged: it says which file and what to do, the others go on, and what it says to do works.

    damage_test.py PROGRAM        environment: TROUPE_SEED

For each damage a new cluster: the hard state that says whom the node voted for, and the metadata log. And a directory that is put back
from an old copy, with the cluster gone on meanwhile: the leader says so, and without its metadata the node takes part again. Nothing that
was acknowledged is lost.
"""

import glob
import os
import random
import shutil
import time

import history
from clients import Load
from cluster_process import Cluster, run_on_cluster, until

SEED = int(os.environ.get("TROUPE_SEED", "1"))
TOPIC = "orders"
PARTITIONS = 6


def metadata_of(node):
    return os.path.join(node.folder, "data", "metadata")


def flip(path, randomness):
    """One bit, somewhere in the file."""
    with open(path, "r+b") as file:
        content = bytearray(file.read())
        at = randomness.randrange(len(content))
        content[at] ^= 1 << randomness.randrange(8)
        file.seek(0)
        file.write(content)
    return at


def damage_hard_state(node, randomness):
    path = os.path.join(metadata_of(node), "quorum-state")
    return f"quorum-state, byte {flip(path, randomness)}"


def damage_log(node, randomness):
    """In the middle of the log: what lies behind was promised, and is no longer in the commit log after a stop in order."""
    path = max(glob.glob(os.path.join(metadata_of(node), "partitions", "**", "*.log"), recursive=True), key=os.path.getsize)
    size = os.path.getsize(path)
    assert size > 2000, f"the metadata log has {size} bytes only"
    with open(path, "r+b") as file:
        at = size // 3 + randomness.randrange(size // 3)
        file.seek(at)
        file.write(bytes(64))
    return f"{os.path.basename(path)} of the metadata log, from byte {at}"


def ready_cluster(cluster):
    cluster.start()
    for n in cluster.nodes:
        until(lambda: cluster.ready(n), 60, lambda: f"node {n} is not ready: {cluster.ask(n, '/readyz')}")  # noqa: B023
    cluster.nodes[1].call("POST", "/v1/topics", {"name": TOPIC, "partitions": PARTITIONS, "replication_factor": 3})
    cluster.wait_whole(TOPIC, seconds=60)


def under_load(cluster, work):
    """`work` while clients write through all nodes; what was acknowledged is in every node's log in the end."""
    log = history.History()
    load = Load(cluster, TOPIC, PARTITIONS, log, SEED)
    load.start(writers_a_node=1, retriers=1, readers_a_node=0)
    until(lambda: log.all_written_since(0, PARTITIONS), 60, "nothing is written")
    work(log)
    healed = time.monotonic()
    until(lambda: log.all_written_since(healed, PARTITIONS), 60, "writes do not go on")
    load.stop()
    cluster.wait_whole(TOPIC, seconds=60)
    logs = {n: node.read_all(TOPIC) for n, node in cluster.nodes.items()}
    wrong = history.violations(log.attempts, logs)
    assert not wrong, f"{len(wrong)} violations:\n" + "\n".join(wrong[:20])
    print(f"  {len(log.acknowledged())} acknowledged writes, all there on each node", flush=True)


def last_error(node):
    """Why the metadata of a node is of no use, as its log says it."""
    with open(node.log_path, encoding="utf-8", errors="replace") as lines:
        said = [line for line in lines if "metadata cannot be used" in line]
    return said[-1] if said else ""


def damaged(cluster, what, damage, named):
    randomness = random.Random(f"{SEED} {what}")
    ready_cluster(cluster)
    for i in range(20):  # so that the log has a middle
        cluster.nodes[1].call("POST", "/v1/topics", {"name": f"more-{i}", "partitions": 1, "replication_factor": 3})
    controller = until(cluster.controller, 10, cluster.controllers)
    victim = randomness.choice([n for n in cluster.nodes if n != controller])
    node = cluster.nodes[victim]

    def work(log):
        code, _ = node.stop()
        assert code == 0, f"SIGTERM: exit code {code}"
        told = damage(node, randomness)
        node.start(wait=False)
        until(lambda: last_error(node), 30,
              lambda: f"node {victim} does not refuse it: {cluster.ask(victim, '/readyz')}\n{node.log_tail()}")
        said = last_error(node)
        print(f"{what} of node {victim}: {told}\n  it says: {said.strip()[:400]}", flush=True)
        assert named in said, f"the file is not named: {said}"
        assert "empty its metadata directory" in said, f"no way out: {said}"
        assert not cluster.ready(victim), "it is ready all the same"
        until(lambda: cluster.without(victim, TOPIC), 30, "its partitions are not led by others")
        refused = time.monotonic()
        until(lambda: log.all_written_since(refused, PARTITIONS), 30, "the others do not go on")
        # The way out.
        node.kill()
        shutil.rmtree(metadata_of(node))
        node.start(wait=False)
        took = cluster.wait_whole(TOPIC, seconds=90)
        print(f"  with an empty metadata directory: whole again after {took:.2f} s", flush=True)
    under_load(cluster, work)


def put_back(cluster):
    """A copy of the whole directory, of an hour ago so to say."""
    ready_cluster(cluster)
    controller = until(cluster.controller, 10, cluster.controllers)
    victim = next(n for n in cluster.nodes if n != controller)
    node = cluster.nodes[victim]
    copy = os.path.join(node.folder, "copy")

    def work(log):
        code, _ = node.stop()
        assert code == 0, f"SIGTERM: exit code {code}"
        shutil.copytree(os.path.join(node.folder, "data"), copy)
        node.start(wait=False)
        cluster.wait_whole(TOPIC, seconds=60)
        for i in range(5):
            cluster.nodes[1].call("POST", "/v1/topics", {"name": f"later-{i}", "partitions": 2, "replication_factor": 3})
        since = time.monotonic()
        until(lambda: len(log.acknowledged(since)) > 200, 60, "too little is written")
        node.kill()
        shutil.rmtree(os.path.join(node.folder, "data"))
        os.rename(copy, os.path.join(node.folder, "data"))
        node.start(wait=False)

        def told():
            return any("its disk was put back" in open(other.log_path, encoding="utf-8", errors="replace").read()
                       for n, other in cluster.nodes.items() if n != victim)
        # A leader that has changed meanwhile does not remember what the node had acknowledged.
        until(lambda: told() or cluster.whole(TOPIC, 3), 60, "nobody says that it has forgotten what it acknowledged")
        print(f"an old copy of node {victim}'s directory: {'told of' if told() else 'not noticed'}", flush=True)
        # The way out, as docs/operations.md has it.
        node.kill()
        shutil.rmtree(metadata_of(node))
        node.start(wait=False)
        took = cluster.wait_whole(TOPIC, seconds=90)
        assert len(cluster.partitions(victim, "later-4")) == 2, "it does not know what was made meanwhile"
        print(f"  without its metadata: whole again after {took:.2f} s", flush=True)
    under_load(cluster, work)


def run(cluster):
    damaged(cluster, "hard state", damage_hard_state, "quorum-state")
    for name, work in (("log", lambda one: damaged(one, "metadata log", damage_log, "log")), ("copy", put_back)):
        another = Cluster(cluster.program, os.path.join(cluster.folder, name))
        try:
            cluster.end()
            work(another)
        except BaseException:
            print(another.logs())
            raise
        finally:
            another.end()


run_on_cluster(f"reproduce: TROUPE_SEED={SEED} damage_test.py PROGRAM", run)
