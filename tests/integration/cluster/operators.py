"""What operators do to a cluster while faults befall it. Each goes on until it is done, whatever it is answered meanwhile, and leaves the
cluster as it was: three replicas of each partition, nobody drained."""

import http.client
import json
import random
import threading
import time

from cluster_process import until

PAUSE_S = 0.2
ANSWER_S = 8
DONE_S_MAX = 150  # the fault lasts that long, too
DRAIN_S_MAX = 10
OPERATIONS = {}


def operation(function):
    OPERATIONS[function.__name__] = function
    return function


@operation
def reassign(one):
    """Some partitions lose a replica, and get it back in another order: it copies what was written since."""
    brokers = sorted(one.cluster.nodes)
    fewer, all_again = {}, {}
    for p in sorted(one.partitions):
        fewer[p] = one.randomness.sample(brokers, 2)
        all_again[p] = one.randomness.sample(brokers, 3)
    one.settle(fewer, shown_by=2)
    one.rest(one.randomness.uniform(0, 2))
    one.settle(all_again, shown_by=3)
    return f"partitions {sorted(one.partitions)} on two nodes and on three"


@operation
def drain(one):
    """One broker leads nothing for a while, if others can."""
    broker = one.randomness.choice(sorted(one.cluster.nodes))
    began = time.monotonic()
    answer = {}
    while answer.get("left") != 0 and time.monotonic() - began < DRAIN_S_MAX:
        answer = one.ask("POST", f"/v1/cluster/brokers/{broker}/drain") or {}
        one.rest(PAUSE_S)
    one.rest(one.randomness.uniform(0, 2))

    def in_use():
        one.ask("POST", f"/v1/cluster/brokers/{broker}/undrain")
        return len([state for state in one.states(broker) if state == "up"]) == 3
    one.until(in_use, lambda: f"broker {broker} is not used again: {one.states(broker)}")
    return f"broker {broker} drained ({answer.get('left', 'not seen how many')} left) and used again"


@operation
def elect(one):
    """Leaders change hands, again and again."""
    done = 0
    for _ in range(4):
        kind = one.randomness.choice([{"type": "preferred"}, {"type": "to", "to": one.randomness.choice(sorted(one.cluster.nodes))}])
        partitions = [{"topic": one.topic, "partition": p} for p in sorted(one.partitions)]
        answer = one.ask("POST", "/v1/cluster/elections", {**kind, **({"partitions": partitions} if "to" in kind else {})}) or {}
        done += sum("leader" in each for each in answer.get("results", []))
        one.rest(one.randomness.uniform(0.1, 0.6))
    return f"{done} elections"


class Operator:
    """One operation, in a thread beside the fault."""

    def __init__(self, cluster, topic, partitions, function, seed):
        self.cluster = cluster
        self.topic = topic
        self.function = function
        self.randomness = random.Random(seed)
        self.partitions = self.randomness.sample(range(partitions), 2)  # that it is about
        self.stopping = threading.Event()
        self.told = ""
        self.failure = None
        self.refusals = {}
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self.run, name=function.__name__, daemon=True)
        self.thread.start()

    def run(self):
        try:
            self.told = self.function(self)
        except Exception as failure:  # told in the main thread
            self.failure = f"{self.function.__name__}: {type(failure).__name__}: {failure}; refusals {self.refusals}"

    def finish(self, seconds):
        """What it did. It has so long from now on."""
        self.thread.join(seconds)
        self.stopping.set()
        assert not self.thread.is_alive(), f"{self.function.__name__} is not done {seconds} s after the fault: {self.refusals}"
        assert not self.failure, self.failure
        return f"{self.told}{f', refused {self.refusals}' if self.refusals else ''}"

    def rest(self, seconds):
        self.stopping.wait(seconds)

    def until(self, condition, what):
        def slowly():
            if condition():
                return True
            self.rest(PAUSE_S)
            return self.stopping.is_set()
        until(slowly, DONE_S_MAX, what)

    def ask(self, method, path, body=None):
        """The answer of any node; None when there is none, or it is a refusal."""
        n = self.randomness.choice(sorted(self.cluster.nodes))
        try:
            status, _, answer = self.cluster.nodes[n].request(method, path, body, timeout=ANSWER_S)
            told = json.loads(answer)
        except (OSError, http.client.HTTPException, ValueError) as failure:
            status, told = 0, {"code": type(failure).__name__}
        if status == 200:
            return told
        self.refusals[f"{status} {told.get('code')}"] = self.refusals.get(f"{status} {told.get('code')}", 0) + 1
        return None

    def states(self, broker):
        """Of a broker, as each node says."""
        shown = [self.cluster.show(n, "/v1/cluster") for n in self.cluster.nodes]
        return [each["state"] for one in shown if one for each in one["brokers"] if each["id"] == broker]

    def shown(self):
        """Of each node that says something: its partitions by number."""
        found = [self.cluster.show(n, f"/v1/cluster/partitions?topic={self.topic}") for n in self.cluster.nodes]
        return [{each["partition"]: each for each in one["partitions"]} for one in found if one]

    def settle(self, wanted, shown_by):
        """{partition: replicas}, until so many nodes say that it is so."""
        def is_so(partitions):
            return all(p in partitions and partitions[p]["replicas"] == replicas and sorted(partitions[p]["isr"]) == sorted(replicas) and
                       not partitions[p]["adding"] for p, replicas in wanted.items())

        def settled():
            shown = self.shown()
            if len([one for one in shown if is_so(one)]) >= shown_by:
                return True
            if not shown or not all(one.get(p, {}).get("adding") for one in shown for p in wanted):
                body = {"reassignments": [{"topic": self.topic, "partition": p, "replicas": replicas} for p, replicas in wanted.items()]}
                self.ask("POST", "/v1/cluster/reassignments", body)
            return False
        self.until(settled, lambda: f"{self.shown()} instead of {wanted}; {self.refusals}")
