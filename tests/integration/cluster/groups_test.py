"""Consumer groups on three real nodes: any node answers, and kill -9 of a coordinator's node leaves what is committed as it was.

   groups_test.py TROUPE
"""

import json
import os
import subprocess
import sys
import time

from cluster_process import ASK_ERRORS, run_on_cluster, until

TOPIC = "orders"
PARTITIONS = 3
RECORDS = 60
GROUPS = 24
PATIENCE_S = 60


def asked(node, method, path, body=None):
    """Asked again until it is answered with success: what is asked here may be done twice."""

    def once():
        try:
            status, _, answer = node.request(method, path, json.dumps(body).encode() if body else None,
                                             {"Content-Type": "application/json"} if body else None, timeout=20)
        except ASK_ERRORS:
            return None
        return (json.loads(answer) if answer else {}) if status < 300 else None

    return until(once, PATIENCE_S, f"{method} {path} was not answered")


def name_of(i):
    return f"group-{i:02d}"


def offsets(node, group):
    return {one["partition"]: one["committed"] for one in asked(node, "GET", f"/v1/groups/{group}/offsets")["partitions"]}


def run_command(program, node, *arguments, code=0):
    environment = {**os.environ, "TROUPE_URL": node.url}
    ran = subprocess.run([program, "group", *arguments], capture_output=True, timeout=60, check=False, env=environment)
    assert ran.returncode == code, f"{arguments}: {ran.returncode}\n{ran.stdout.decode()}\n{ran.stderr.decode()}"
    return ran.stdout.decode()


def check_commands(program, node):
    assert len(run_command(program, node, "list").splitlines()) == 1 + GROUPS
    described = run_command(program, node, "describe", "group-03").splitlines()
    assert described[1].split()[:3] == ["GROUP", "TOPIC", "PARTITION"], described
    assert len(described) == 2 + PARTITIONS, described
    ends = [int(line.split()[4]) for line in described[2:]]
    assert sum(ends) == RECORDS, described
    assert run_command(program, node, "lag", "group-03").splitlines()[-1] == f"total lag {RECORDS - 3 * PARTITIONS}"
    assert run_command(program, node, "members", "group-03").splitlines()[0].startswith("GROUP"), "no heading"

    # Only shown, then done.
    run_command(program, node, "reset", "group-03", "--to-latest")
    assert offsets(node, "group-03") == {0: 3, 1: 3, 2: 3}
    run_command(program, node, "reset", "group-03", "--to-latest", "--execute")
    assert sum(offsets(node, "group-03").values()) == RECORDS
    run_command(program, node, "reset", "group-03", "--shift-by", "-2", "--topic", f"{TOPIC}:0", "--execute")
    assert sum(offsets(node, "group-03").values()) == RECORDS - 2
    run_command(program, node, "reset", "group-03", "--to-latest", "--to-earliest", code=2)
    run_command(program, node, "reset", "none", "--to-latest", code=3)
    run_command(program, node, "describe", "none", code=3)

    assert run_command(program, node, "pause", "group-03") == "group-03 is paused: its members read nothing\n"
    assert "PAUSED" in run_command(program, node, "describe", "group-03").splitlines()[0]
    assert "(paused)" in [line for line in run_command(program, node, "list").splitlines() if line.startswith("group-03 ")][0]
    assert run_command(program, node, "resume", "group-03") == "group-03 goes on\n"
    run_command(program, node, "pause", "none", code=3)

    run_command(program, node, "delete", "group-04", "--topic", TOPIC, "--yes")
    run_command(program, node, "delete", "group-05", "--yes")
    run_command(program, node, "delete", "group-05", "--yes", code=3)
    names = [one["group"] for one in json.loads(run_command(program, node, "list", "--json"))["groups"]]
    assert names == [name_of(i) for i in range(GROUPS) if i not in (4, 5)], names


def run(cluster):
    program = sys.argv[1]
    cluster.start()
    until(lambda: all(cluster.ready(n) for n in cluster.nodes), PATIENCE_S, cluster.logs)
    cluster.nodes[1].call("POST", "/v1/topics", {"name": TOPIC, "partitions": PARTITIONS, "replication_factor": 3})
    cluster.wait_whole(TOPIC, seconds=PATIENCE_S)
    records = [{"key": str(i), "value": str(i)} for i in range(RECORDS)]
    cluster.nodes[2].call("POST", f"/v1/topics/{TOPIC}/records", {"records": records})

    # The groups' topic is made by the first of these; they go through all nodes in turn.
    for i in range(GROUPS):
        asked(cluster.nodes[1 + i % 3], "POST", f"/v1/groups/{name_of(i)}/reset", {"to_offset": i % 10, "topics": [TOPIC]})
    cluster.wait_whole("__consumer_offsets", seconds=PATIENCE_S)

    ends = {one["p"]: one["end"] for one in cluster.nodes[1].call("GET", f"/v1/topics/{TOPIC}")["partitions"]}

    def expected(i):
        return {p: min(i % 10, ends[p]) for p in range(PARTITIONS)}

    for i in range(GROUPS):
        assert offsets(cluster.nodes[1 + (i + 1) % 3], name_of(i)) == expected(i), name_of(i)

    coordinators = {i: asked(cluster.nodes[1], "GET", f"/v1/groups/{name_of(i)}")["coordinator"] for i in range(GROUPS)}
    assert set(coordinators.values()) == {1, 2, 3}, coordinators
    victim = coordinators[0]
    others = [n for n in cluster.nodes if n != victim]
    began = time.monotonic()
    cluster.nodes[victim].kill()
    assert offsets(cluster.nodes[others[0]], name_of(0)) == expected(0)
    took_ms = round(1000 * (time.monotonic() - began))
    for i in range(GROUPS):
        assert offsets(cluster.nodes[others[i % 2]], name_of(i)) == expected(i), name_of(i)
    moved = asked(cluster.nodes[others[0]], "GET", f"/v1/groups/{name_of(0)}")["coordinator"]
    assert moved in others, moved
    asked(cluster.nodes[others[1]], "POST", f"/v1/groups/{name_of(0)}/reset", {"shift_by": 1})

    cluster.start(victim)
    cluster.wait_whole("__consumer_offsets", seconds=PATIENCE_S)
    assert offsets(cluster.nodes[victim], name_of(0)) == {p: min(1, ends[p]) for p in range(PARTITIONS)}
    asked(cluster.nodes[others[1]], "POST", f"/v1/groups/{name_of(3)}/reset", {"to_offset": 3})
    check_commands(program, cluster.nodes[victim])
    print(f"{GROUPS} groups; node {victim}, which coordinated some of them, was killed: the next coordinator answered after {took_ms} ms")


if __name__ == "__main__":
    run_on_cluster(f"groups_test.py {sys.argv[1]}", run)
