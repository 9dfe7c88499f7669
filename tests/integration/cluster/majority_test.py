#!/usr/bin/env python3
"""Two of three nodes are down: the third says so, reads what it may, acknowledges nothing at quorum, and all goes on when they are back.

    majority_test.py PROGRAM        environment: TROUPE_SEED
"""

import collections
import concurrent.futures
import http.client
import json
import os
import time

import history
from clients import ANSWER_S_MAX, REFUSALS, UNKNOWN, Load
from cluster_process import run_on_cluster, until

SEED = int(os.environ.get("TROUPE_SEED", "1"))
TOPIC = "orders"
PARTITIONS = 6
SENTENCE = "1 of 3 voters can be reached, which is no majority"


def timed(work):
    began = time.monotonic()
    try:
        status, _, body = work()
        return status, body, time.monotonic() - began
    except (OSError, http.client.HTTPException) as failure:
        return 0, f"{type(failure).__name__}: {failure}".encode(), time.monotonic() - began


def code_of(body):
    try:
        content = json.loads(body)
        result = (content.get("results") or [content])[0]
        return (result.get("err") or result).get("code")
    except (ValueError, AttributeError):
        return repr(body[:60])


def says_so(node):
    """/readyz: 503, and the check `cluster` says why."""
    status, body, _ = timed(lambda: node.request("GET", "/readyz", timeout=2))
    if status != 503:
        return False
    check = next(one for one in json.loads(body)["checks"] if one["name"] == "cluster")
    return not check["ok"] and SENTENCE in check["detail"]


def alone(cluster, last, acknowledged):
    """What the last node answers while the majority is gone. Returns futures of the writes that were tried."""
    node = cluster.nodes[last]
    began = time.monotonic()
    until(lambda: says_so(node), 15, lambda: f"/readyz does not say it: {cluster.ask(last, '/readyz')}")
    print(f"/readyz says so {time.monotonic() - began:.2f} s after the second kill", flush=True)
    assert node.get("/livez")[0] == 200, "it is alive, and /livez says otherwise"

    pool = concurrent.futures.ThreadPoolExecutor(2 * PARTITIONS)
    writes = [pool.submit(timed, lambda p=p: node.request(
        "POST", f"/v1/topics/{TOPIC}/records", {"records": [{"partition": p, "key": "lonely", "value": {"id": f"lonely/{p}"}}]},
        timeout=ANSWER_S_MAX + 5)) for p in range(PARTITIONS)]

    # Reads: whatever is answered is what was acknowledged; otherwise a clear refusal, in its time.
    leaders = {p["p"]: p["leader"] for p in cluster.partitions(last, TOPIC)}
    assert leaders, "the last node does not show the topic"
    reads = {p: pool.submit(timed, lambda p=p: node.request(
        "GET", f"/v1/topics/{TOPIC}/partitions/{p}/records?limit=1000", timeout=ANSWER_S_MAX + 5)) for p in range(PARTITIONS)}
    for p, future in reads.items():
        status, body, seconds = future.result()
        where = "its own" if leaders[p] == last else f"led by node {leaders[p]}"
        if status == 200:
            for record in json.loads(body)["records"]:
                assert acknowledged.get((p, record["o"])) == record["v"], f"partition {p}: {record} was not acknowledged"
        else:
            assert (status, code_of(body)) in REFUSALS | UNKNOWN, f"a read of partition {p}: {status} {body[:300]}"
        print(f"  a read of partition {p} ({where}): {status} {'' if status == 200 else code_of(body)} after {seconds:.2f} s", flush=True)

    status, body, seconds = timed(lambda: node.request("POST", "/v1/topics", {"name": "never"}, timeout=60))
    assert (status, code_of(body)) in REFUSALS and seconds < 5, f"a topic without a controller: {status} {body[:300]} after {seconds:.2f} s"
    print(f"  a new topic: {status} {code_of(body)} after {seconds:.2f} s", flush=True)
    return writes


def judge_writes(writes, last):
    """Nothing acknowledged at quorum by one of three; each answered within its timeout and a second."""
    told = collections.Counter()
    for p, future in enumerate(writes):
        status, body, seconds = future.result()
        code = code_of(body)
        assert status != 200, f"partition {p}: acknowledged by one of three replicas: {body[:300]}"
        assert (status, code) in REFUSALS | UNKNOWN, f"partition {p}: {status} {body[:300]}"
        assert seconds <= ANSWER_S_MAX, f"partition {p}: answered after {seconds:.1f} s"
        told[f"{status} {code} after {seconds:.0f} s"] += 1
    print(f"  writes with acks=quorum through node {last}: {dict(told)}", flush=True)


def run(cluster):
    cluster.start()
    for n in cluster.nodes:
        until(lambda: cluster.ready(n), 30, lambda: f"node {n} is not ready: {cluster.ask(n, '/readyz')}")  # noqa: B023
    cluster.nodes[1].call("POST", "/v1/topics", {"name": TOPIC, "partitions": PARTITIONS, "replication_factor": 3})
    cluster.wait_whole(TOPIC)
    log = history.History()
    load = Load(cluster, TOPIC, PARTITIONS, log, SEED)
    load.start(writers_a_node=1, retriers=1)
    until(lambda: len(log.acknowledged()) > 100 and log.all_written_since(0, PARTITIONS), 60, "too little is written")
    load.stop()
    acknowledged = {(one.partition, one.offset): one.value for one in log.acknowledged()}

    # The node that is left leads some partitions and, if there is one, is not the controller.
    controller = until(cluster.controller, 10, cluster.controllers)
    led = {p["leader"] for p in cluster.partitions(controller, TOPIC)}
    last = min(led, key=lambda n: (n == controller, n))
    leaders = [p["leader"] for p in cluster.partitions(1, TOPIC)]
    print(f"node {controller} is the controller, leaders {leaders}; node {last} stays", flush=True)
    gone = [n for n in cluster.nodes if n != last]
    for n in gone:
        cluster.nodes[n].process.kill()
    for n in gone:
        cluster.nodes[n].process.wait()
    writes = alone(cluster, last, acknowledged)
    judge_writes(writes, last)

    began = time.monotonic()
    for n in gone:
        cluster.nodes[n].start(wait=False)
    cluster.wait_whole(TOPIC)
    print(f"whole again {time.monotonic() - began:.2f} s after both were started", flush=True)
    again = history.History()
    load = Load(cluster, TOPIC, PARTITIONS, again, SEED, "again-")
    load.start(writers_a_node=1, retriers=0, readers_a_node=0)
    until(lambda: again.all_written_since(0, PARTITIONS) and all(again.acknowledged(node=n) for n in cluster.nodes), 30,
          "writes do not go on")
    load.stop()

    logs = {n: node.read_all(TOPIC) for n, node in cluster.nodes.items()}
    wrong = history.violations(log.attempts + again.attempts + lonely(writes), logs)
    assert not wrong, f"{len(wrong)} violations:\n" + "\n".join(wrong[:20])
    print(f"{len(log.attempts)} writes before, {len(again.attempts)} after; {sum(map(len, logs[1].values()))} records", flush=True)


def lonely(writes):
    """The writes that the last node was asked for, as attempts."""
    return [history.Attempt("lonely", 0, f"lonely/{p}", p, "lonely", {"id": f"lonely/{p}"}, 0, 1e12,
                            "fail" if (future.result()[0], code_of(future.result()[1])) in REFUSALS else "unknown")
            for p, future in enumerate(writes)]


run_on_cluster(f"reproduce: TROUPE_SEED={SEED} majority_test.py PROGRAM", run)
