"""Three nodes found a cluster; records go through any of them; the controller is killed and comes back; nothing is lost or doubled.

   smoke_test.py TROUPE
"""

import json
import sys

from cluster_process import ASK_ERRORS, Cluster, fresh_folder, until

TOPIC = "smoke"
PARTITIONS = 3
PATIENCE_S = 60


def produce(cluster, n, key):
    """Asked again with the same key until it is there: whatever happens it is written once."""
    body = json.dumps({"records": [{"key": key, "value": key}]}).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}

    def once():
        try:
            status, _, answer = cluster.nodes[n].request("POST", f"/v1/topics/{TOPIC}/records", body, headers, timeout=40)
        except ASK_ERRORS:
            return None
        return status == 200 and "error" not in json.loads(answer)["results"][0]

    until(once, PATIENCE_S, f"{key} was not acknowledged through node {n}")


def values(cluster, n):
    """All records as node n gives them: partition, offset, value."""
    answer = cluster.show(n, f"/v1/topics/{TOPIC}/records?from=earliest&limit=1000")
    return sorted((one["p"], one["o"], one["v"]) for one in answer["records"]) if answer else []


def main(program):
    with fresh_folder() as folder:
        cluster = Cluster(program, folder)
        try:
            cluster.start(1, 2)
            until(lambda: cluster.ask(1, "/readyz"), PATIENCE_S, "node 1 says nothing")
            assert not cluster.ready(1), "two of three listed voters founded a cluster"
            cluster.start(3)
            until(lambda: all(cluster.ready(n) for n in cluster.nodes), PATIENCE_S, cluster.logs)
            cluster.nodes[2].call("POST", "/v1/topics", {"name": TOPIC, "partitions": PARTITIONS, "replication_factor": 3})
            cluster.wait_whole(TOPIC, seconds=PATIENCE_S)
            keys = []
            for i in range(30):
                keys.append(f"before-{i}")
                produce(cluster, 1 + i % 3, keys[-1])
            victim = until(cluster.controller, PATIENCE_S, "nobody is the controller")
            cluster.nodes[victim].kill()
            others = [n for n in cluster.nodes if n != victim]
            for i in range(30):
                keys.append(f"after-{i}")
                produce(cluster, others[i % 2], keys[-1])
            until(lambda: cluster.without(victim, TOPIC), PATIENCE_S, "the one that was killed is in an ISR, or leads")
            cluster.start(victim)
            cluster.wait_whole(TOPIC, seconds=PATIENCE_S)
            for n in cluster.nodes:
                until(lambda n=n: sorted(value for _, _, value in values(cluster, n)) == sorted(keys), PATIENCE_S,
                      lambda n=n: f"node {n} has {values(cluster, n)}")
            assert values(cluster, 1) == values(cluster, 2) == values(cluster, 3)
            print(f"{len(keys)} records, each once, the same on three nodes; the controller, node {victim}, was killed")
        except BaseException:
            print(cluster.logs(), file=sys.stderr)
            raise
        finally:
            cluster.end()


if __name__ == "__main__":
    main(sys.argv[1])
