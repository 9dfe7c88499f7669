"""The command line on three real nodes: what it says is so, what it changes has changed.

   commands_test.py TROUPE
"""

import json
import os
import subprocess
import sys

from cluster_process import run_on_cluster, until

TOPIC = "orders"
PARTITIONS = 6
PATIENCE_S = 60


class Commands:
    def __init__(self, program, cluster):
        self.program = program
        self.cluster = cluster

    def run(self, *arguments, node=1, code=0, stdin=b""):
        environment = {**os.environ, "TROUPE_URL": self.cluster.nodes[node].url}
        ran = subprocess.run([self.program, *arguments], input=stdin, capture_output=True, timeout=120, check=False, env=environment)
        assert ran.returncode == code, f"{arguments}: {ran.returncode}\n{ran.stdout.decode()}\n{ran.stderr.decode()}"
        return ran.stdout.decode()

    def json(self, *arguments, node=1, code=0):
        return json.loads(self.run(*arguments, "--json", node=node, code=code))


def run(cluster):
    cluster.start()
    until(lambda: all(cluster.ready(n) for n in cluster.nodes), PATIENCE_S, cluster.logs)
    troupe = Commands(sys.argv[1], cluster)
    troupe.run("topic", "create", TOPIC, "-p", str(PARTITIONS), "-r", "2")
    cluster.wait_whole(TOPIC, replicas=2, seconds=PATIENCE_S)
    troupe.run("cluster", "health", "--exit-when-healthy", "--timeout", "1m", node=2)

    def brokers(node=1):
        return {one["id"]: one for one in troupe.json("cluster", "brokers", node=node)["brokers"]}

    assert sum(one["leads"] for one in brokers().values()) == PARTITIONS
    assert len(troupe.run("cluster", "partitions", "-t", TOPIC).splitlines()) == 1 + PARTITIONS
    assert len(troupe.json("cluster", "quorum", node=3)["voters"]) == 3
    trees = troupe.json("actor", "tree")["nodes"]
    assert [tree["node_id"] for tree in trees] == [1, 2, 3] and all(tree["actors"] for tree in trees), trees
    assert troupe.run("actor", "tree", "--node", "2").startswith("ACTOR")

    # Leaderships away from a broker, and back.
    assert troupe.run("cluster", "drain", "2", "--wait", node=3) == "broker 2 drained\n"
    assert brokers()[2]["leads"] == 0 and brokers()[2]["state"] == "drained"
    troupe.run("cluster", "undrain", "--self", node=2)
    until(lambda: brokers()[2]["state"] == "up", PATIENCE_S, lambda: f"{brokers()}")
    troupe.run("cluster", "elect")
    first = troupe.json("cluster", "partitions", "-t", TOPIC)["partitions"][0]
    other = next(replica for replica in first["replicas"] if replica != first["leader"])
    troupe.run("cluster", "elect", "-t", TOPIC, "-p", "0", "--to", str(other))

    # Copies off broker 3 by a plan, and back by another.
    for keep in ("1,2", "1,2,3"):
        plan = troupe.run("cluster", "reassign", "--generate", "--brokers", keep)
        assert json.loads(plan)["reassignments"], keep
        troupe.run("cluster", "reassign", "--file", "-", "--watch", node=2, stdin=plan.encode())
        held = {replica for one in troupe.json("cluster", "partitions", "-t", TOPIC)["partitions"] for replica in one["replicas"]}
        assert held == {int(each) for each in keep.split(",")}, held
    assert troupe.run("cluster", "reassign") == "no partition is being reassigned\n"

    # The controller, and who votes.
    leader = troupe.json("cluster", "quorum")["leader_id"]
    chosen = 1 + leader % 3
    said = troupe.json("cluster", "transfer", "--to", str(chosen))
    assert said["leader_id"] == chosen, said
    gone = 1 + chosen % 3
    assert len(troupe.json("cluster", "voters", "remove", str(gone))["voters"]) == 2
    until(lambda: cluster.controller() > 0, PATIENCE_S, lambda: f"{cluster.controllers()}")
    assert len(troupe.json("cluster", "voters", "add", str(gone))["voters"]) == 3
    troupe.run("cluster", "remove-broker", "3", code=4)
    troupe.run("cluster", "health", "--exit-when-healthy", "--timeout", "1m")

    # One node away: said by another, and waited for.
    cluster.nodes[3].kill()
    sick = until(lambda: (lambda one: one if one["brokers_up"] == 2 else None)(health_of(troupe)), PATIENCE_S, "all are up without node 3")
    assert not sick["healthy"] and sick["problems"], sick
    troupe.run("cluster", "health", code=1)
    cluster.start(3)
    troupe.run("cluster", "health", "--exit-when-healthy", "--timeout", "1m", node=2)
    print("every command of `troupe cluster` on three nodes")


def health_of(troupe):
    ran = subprocess.run([troupe.program, "cluster", "health", "--json", "--url", troupe.cluster.nodes[1].url], capture_output=True,
                         timeout=60, check=False)
    return json.loads(ran.stdout)


if __name__ == "__main__":
    run_on_cluster(f"commands_test.py {sys.argv[1]}", run)
