#!/usr/bin/env python3
"""Three nodes; killed, paused and stopped while clients write and read through all of them. Nothing that was acknowledged is lost.

    faults_test.py PROGRAM        environment: TROUPE_ROUNDS (1), TROUPE_SEED

A round: kill -9 of the node that leads most, kill -9 of the controller, SIGSTOP for 3 s of the node that leads most, SIGTERM of a node;
kill -9 of two nodes one after the other, and of all at once. Each of the first four is proven: others lead, its node is in no ISR, every
partition was written since. During the last two nothing is acknowledged. After each the cluster has to become whole.
At the end history.violations() holds what the clients were told against what each of the nodes gives.
Printed, and not judged: the longest time without an acknowledged write, of the topic and of its worst partition.
"""

import collections
import os
import signal
import time

import history
from clients import Load
from cluster_process import run_on_cluster, state_of, until

ROUNDS = int(os.environ.get("TROUPE_ROUNDS", "1"))
SEED = int(os.environ.get("TROUPE_SEED", "1"))
TOPIC = "orders"
PARTITIONS = 6
PAUSED_S = 3
AWAY_S = 0.5
FAILOVER_S_MAX = 15
# A connection that was open while its node died may tell it later than the node is ready again.
SLACK_S = 1.0


class Faults:
    def __init__(self, cluster, log):
        self.cluster = cluster
        self.log = log
        self.windows = []  # (name, victim, begin, end)

    def run(self, name, victim, break_it, mend_it):
        """`break_it` begins the fault and waits for its proof, `mend_it` ends it."""
        controls = self.cluster.controller() == victim
        begin = time.monotonic()
        proof = break_it(self.cluster.nodes[victim])
        self.moved(victim)
        moved = time.monotonic()
        mend_it(self.cluster.nodes[victim])
        mended = time.monotonic()
        healed = self.cluster.wait_whole(TOPIC)
        self.written(begin, "after the fault")
        end = time.monotonic()
        self.windows.append((name, victim, begin, end))
        silence, at = self.log.longest_silence(begin, end)
        worst, worst_at = max(self.log.longest_silence(begin, end, p) for p in range(PARTITIONS))
        met = self.log.troubles_between(begin, end)
        slowest = max((one.done - one.sent for one in met), default=0)
        troubles = collections.Counter(f"node {one.node}{' (victim)' if one.node == victim else ''}: {one.what}"
                                       for one in met)
        who = f"{name}, node {victim}{' (the controller)' if controls else ''}"
        print(f"{who}: {proof}; silence {silence * 1000:.0f} ms (at {at:.2f} s), of the worst partition "
              f"{worst * 1000:.0f} ms (at {worst_at:.2f} s); others in charge and all written after {moved - begin:.2f} s, mended after "
              f"{mended - begin:.2f} s, whole {healed:.2f} s later; slowest failure {slowest:.2f} s; troubles {dict(troubles)}", flush=True)

    def lose(self, name, victims, one_by_one):
        """More than the cluster can do without: nothing is acknowledged until they are back, and nothing is lost."""
        begin = time.monotonic()
        for number, victim in enumerate(victims):
            self.kill(self.cluster.nodes[victim])
            if one_by_one and number + 1 < len(victims):
                until(lambda: self.cluster.without(victim, TOPIC), FAILOVER_S_MAX, f"node {victim} still counts")  # noqa: B023
        gone = time.monotonic()
        until(lambda: time.monotonic() - gone >= AWAY_S, AWAY_S + 1, "time stands still")
        for victim in victims:
            self.cluster.nodes[victim].start(wait=False)
        lonely = [one for one in self.log.acknowledged(gone) if one.sent >= gone and one.done < gone + AWAY_S]
        assert not lonely, f"{name}: acknowledged by a minority: {lonely[:3]}"
        healed = self.cluster.wait_whole(TOPIC)
        self.written(time.monotonic(), "after the fault")
        end = time.monotonic()
        self.windows += [(name, victim, begin, end) for victim in victims]
        silence, at = self.log.longest_silence(begin, end)
        print(f"{name}, nodes {victims}: silence {silence * 1000:.0f} ms (at {at:.2f} s), nothing acknowledged in the {AWAY_S} s without "
              f"them; whole {healed:.2f} s after the restart", flush=True)

    def moved(self, victim):
        """Every other node names other leaders and an ISR without the victim; each partition was written since."""
        until(lambda: self.cluster.without(victim, TOPIC), FAILOVER_S_MAX,
              lambda: f"node {victim} still counts: {[self.cluster.partitions(n, TOPIC) for n in self.cluster.nodes if n != victim]}")
        self.written(time.monotonic(), f"without node {victim}")

    def written(self, since, what):
        until(lambda: self.log.all_written_since(since, PARTITIONS), FAILOVER_S_MAX,
              lambda: f"not all partitions were written {what}: {[len(self.log.acknowledged(since, p)) for p in range(PARTITIONS)]}")

    def kill(self, node):
        node.kill()
        assert node.process.returncode == -signal.SIGKILL, node.process.returncode
        return "ended by SIGKILL"

    def start(self, node):
        node.start()

    def pause(self, node):
        began = time.monotonic()
        node.process.send_signal(signal.SIGSTOP)
        until(lambda: state_of(node.process) == "T", 5, "the process is not stopped")
        until(lambda: time.monotonic() - began >= PAUSED_S, PAUSED_S + 1, "time stands still")
        assert state_of(node.process) == "T", "somebody woke it up"
        return f"stopped for {time.monotonic() - began:.2f} s"

    def resume(self, node):
        assert state_of(node.process) == "T", "somebody woke it up"
        node.process.send_signal(signal.SIGCONT)
        until(lambda: state_of(node.process) != "T", 5, "the process does not go on")

    def terminate(self, node):
        code, seconds = node.stop()
        assert code == 0, f"SIGTERM: exit code {code} after {seconds:.2f} s\n{node.log_tail()}"
        return f"exit code 0 {seconds:.2f} s after SIGTERM"

    def a_round(self):
        cluster = self.cluster
        self.run("kill -9 of the busiest leader", cluster.most_leading(TOPIC), self.kill, self.start)
        self.run("kill -9 of the controller", until(cluster.controller, 10, cluster.controllers), self.kill, self.start)
        self.run("SIGSTOP of the busiest leader", cluster.most_leading(TOPIC), self.pause, self.resume)
        self.run("SIGTERM of the busiest leader", cluster.most_leading(TOPIC), self.terminate, self.start)
        first = cluster.most_leading(TOPIC)
        self.lose("kill -9 of a leader, then of another", [first, next(n for n in cluster.nodes if n != first)], one_by_one=True)
        self.lose("kill -9 of all", list(cluster.nodes), one_by_one=False)


def bootstrap(cluster):
    """No election before all voters are there; then everybody knows everybody."""
    cluster.start(1, 2)
    began = time.monotonic()
    until(lambda: all(cluster.ask(n, "/readyz") for n in (1, 2)), 20, "two nodes do not answer")

    def still_waiting():
        for n in (1, 2):
            status, body = cluster.nodes[n].get("/readyz")
            assert status == 503, f"node {n} is ready, and node 3 was never there: {status} {body}"
            assert (cluster.show(n, "/v1/cluster") or {}).get("controller_id", -1) < 1, cluster.show(n, "/v1/cluster")
        return time.monotonic() - began >= 2
    until(still_waiting, 5, "time stands still")
    cluster.start(3)
    began = time.monotonic()
    for n in cluster.nodes:
        until(lambda: cluster.ready(n), 20, lambda: f"node {n} is not ready: {cluster.ask(n, '/readyz')}")  # noqa: B023
    took = time.monotonic() - began
    expected = [(n, cluster.nodes[n].port) for n in cluster.nodes]

    def all_the_same():
        shown = {n: cluster.show(n, "/v1/cluster") for n in cluster.nodes}
        return all(shown.values()) and len({(one["cluster_id"], one["controller_id"]) for one in shown.values()}) == 1 and all(
            [(broker["id"], broker["port"]) for broker in one["brokers"]] == expected for one in shown.values())
    until(all_the_same, 5, lambda: str([cluster.show(n, "/v1/cluster") for n in cluster.nodes]))
    print(f"bootstrap: nobody ready while one is missing; all ready {took:.2f} s after the third was started", flush=True)


def judge_troubles(log, windows):
    """Requests failed only with what a client may try again, and connections only to nodes that were away."""
    wrong = []
    for one in log.troubles:
        mine = [window for window in windows if one.done >= window[2] and one.sent <= window[3] + SLACK_S]
        if not one.retry:
            wrong.append(f"not to be tried again: {one}")
        elif one.what == "TimeoutError" and one.client.startswith("retrier"):
            continue  # it asks elsewhere after PATIENCE_S; the promise is ANSWER_S_MAX, and held against all by history.answered()
        elif one.what[0].isalpha() and not any(one.node == victim for _, victim, _, _ in mine):
            wrong.append(f"a connection to a node that was up: {one}")
        for name, victim, _, end in mine:
            if name.startswith("SIGTERM") and one.sent <= end and not any(one.node == window[1] for window in mine):
                wrong.append(f"{name}, node {victim}; a failure through another node: {one}")
    return wrong


def story(log, wrong):
    """What the clients were told about the records that the first violations name."""
    named = [one for one in log.attempts if any(one.identity in sentence.split() for sentence in wrong[:5])]
    told = [trouble for one in named for trouble in log.troubles if trouble.client == one.client and one.sent <= trouble.done <= one.done]
    return "\n".join(map(str, named + told))


def run(cluster):
    bootstrap(cluster)
    cluster.nodes[1].call("POST", "/v1/topics", {"name": TOPIC, "partitions": PARTITIONS, "replication_factor": 3})
    cluster.wait_whole(TOPIC)
    log = history.History()
    load = Load(cluster, TOPIC, PARTITIONS, log, SEED)
    load.start()
    faults = Faults(cluster, log)
    began = time.monotonic()
    faults.written(began, "in quiet")
    for _ in range(ROUNDS):
        faults.a_round()
        load.check()
    load.stop()
    cluster.wait_whole(TOPIC)
    seconds = time.monotonic() - began

    logs = {n: node.read_all(TOPIC) for n, node in cluster.nodes.items()}
    wrong = log.wrong + history.violations(log.attempts, logs, log.reads) + list(history.answered(log.troubles))
    outcomes = collections.Counter(one.outcome for one in log.attempts)
    print(f"{dict(outcomes)} in {seconds:.0f} s; {sum(map(len, logs[1].values()))} records; "
          f"readers saw {[len(seen) for seen in log.reads.values()]}; {len(log.troubles)} failed requests", flush=True)
    assert not wrong, f"{len(wrong)} violations:\n" + "\n".join(wrong[:20]) + "\n" + story(log, wrong)
    wrong = judge_troubles(log, faults.windows)
    assert not wrong, f"{len(wrong)} failed requests that should not have:\n" + "\n".join(wrong[:20])
    assert outcomes["ok"] > 50 * len(faults.windows), "too few writes to prove anything"
    assert all(log.reads.values()), "a reader saw nothing"
    for n, node in cluster.nodes.items():
        code, took = node.stop()
        assert code == 0, f"SIGTERM of node {n}: exit code {code} after {took:.2f} s"
        assert not node.error_lines(), f"node {n}:\n" + "\n".join(node.error_lines()[:5])


run_on_cluster(f"reproduce: TROUPE_SEED={SEED} TROUPE_ROUNDS={ROUNDS} faults_test.py PROGRAM", run)
