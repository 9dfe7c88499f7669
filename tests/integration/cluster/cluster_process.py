"""Three real nodes on loopback: started, killed, paused, asked."""

import collections
import http.client
import os
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "node"))

from node_process import NodeProcess, fresh_folder  # noqa: E402,F401

POLL_S = 0.02
HEAL_S_MAX = 30
ASK_ERRORS = (OSError, http.client.HTTPException)


def free_ports(count):
    """Ports that the kernel had free a moment ago, all different: nodes that start again need the same ones."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def until(condition, seconds, what):
    """What `condition` gives, asked again and again until it is true. A failure tells `what` and the last answer."""
    pause = threading.Event()
    began = time.monotonic()
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() - began > seconds:
            told = what() if callable(what) else what
            raise AssertionError(f"not within {seconds} s: {told}")
        pause.wait(POLL_S)


class Cluster:
    """Nodes 1 to `count`; the same voters on each."""

    def __init__(self, program, folder, count=3):
        # A test that is told to end ends its nodes, too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        self.program = program
        self.folder = folder
        http_ports, self.cluster_ports = self.ports(count)
        self.voters = ",".join(f"{n}@{self.host(n)}:{port}" for n, port in self.cluster_ports.items())
        self.nodes = {n: self.process(f"node{n}", n, http_ports[n], self.cluster_ports[n], self.voters, self.host(n)) for n in http_ports}

    def ports(self, count):
        """Of each node: the HTTP port, and the one for the other nodes."""
        ports = free_ports(2 * count)
        return dict(enumerate(ports[:count], 1)), dict(enumerate(ports[count:], 1))

    def host(self, n):
        """Where the others reach node n."""
        return "127.0.0.1"

    def process(self, name, node_id, http_port, cluster_port, voters, host="127.0.0.1"):
        """A node that is not started yet. Its folder outlives it."""
        folder = os.path.join(self.folder, name)
        os.makedirs(folder, exist_ok=True)
        return self.node(host, folder, ["--node-id", str(node_id), "--cluster", f"{host}:{cluster_port}", "--voters", voters], http_port)

    def node(self, host, folder, options, http_port):
        return NodeProcess(self.program, folder, options, http_port)

    def start(self, *numbers):
        for n in numbers or self.nodes:
            self.nodes[n].start(wait=False)

    def end(self):
        for node in self.nodes.values():
            if node.process and node.process.poll() is None:
                node.process.send_signal(signal.SIGCONT)
            node.end()

    def logs(self):
        return "\n".join(f"--- node {n}\n{node.log_tail()}" for n, node in self.nodes.items() if os.path.exists(node.log_path))

    # What nodes say. None: no answer.

    def ask(self, n, path, timeout=2):
        try:
            return self.nodes[n].get(path, timeout=timeout)
        except ASK_ERRORS:
            return None

    def ready(self, n):
        answer = self.ask(n, "/readyz")
        return answer is not None and answer[0] == 200

    def show(self, n, path):
        try:
            return self.nodes[n].call("GET", path)
        except (*ASK_ERRORS, AssertionError, ValueError):
            return None

    def controllers(self, numbers=None):
        """Who is the controller, by what each of these nodes says."""
        return {n: (self.show(n, "/v1/cluster") or {}).get("controller_id") for n in numbers or self.nodes}

    def controller(self, numbers=None):
        """The controller that all of these nodes name; 0 while they do not agree."""
        said = set(self.controllers(numbers).values())
        one = said.pop()
        return one if not said and one in self.nodes else 0

    def partitions(self, n, topic):
        return (self.show(n, f"/v1/topics/{topic}") or {"partitions": []})["partitions"]

    def asked(self):
        """A node that shows topics."""
        return until(lambda: next((n for n in self.nodes if self.ready(n)), 0), HEAL_S_MAX, self.logs)

    def most_leading(self, topic, n=1):
        """The node that leads most partitions; the lowest of them when there are several."""
        shown = until(lambda: self.partitions(n, topic), HEAL_S_MAX, f"node {n} does not show {topic}")
        led = collections.Counter(one["leader"] for one in shown)
        return max(sorted(led), key=lambda number: led[number])

    def whole(self, topic, replicas):
        """Every node is ready, and every node says that all replicas of all partitions are in sync."""
        for n in self.nodes:
            partitions = self.ready(n) and self.partitions(n, topic)
            if not partitions or any(len(one["isr"]) != replicas or one["leader"] not in self.nodes for one in partitions):
                return False
        return self.controller() > 0

    def wait_whole(self, topic, replicas=3, seconds=HEAL_S_MAX):
        def told():
            return "; ".join(f"node {n}: ready {self.ready(n)}, {[(p['p'], p['leader'], p['isr']) for p in self.partitions(n, topic)]}"
                             for n in self.nodes) + f"; controllers {self.controllers()}"
        began = time.monotonic()
        until(lambda: self.whole(topic, replicas), seconds, lambda: "the cluster is not whole: " + told())
        return time.monotonic() - began

    def without(self, gone, topic):
        """Every other node says: another leads, and `gone` is in no ISR."""
        for n in self.nodes:
            if n == gone:
                continue
            partitions = self.partitions(n, topic)
            if not partitions or any(gone in one["isr"] or one["leader"] == gone or one["leader"] not in self.nodes for one in partitions):
                return False
        return True


def state_of(process):
    """The letter that the kernel has for a process: T is stopped by a signal."""
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def run_on_cluster(reproduce, run):
    """A test's whole program: `run` on a new cluster of the program that the command line names, the nodes' logs when it fails."""
    print(f"reproduce: {reproduce}", flush=True)
    with fresh_folder() as folder:
        cluster = Cluster(sys.argv[1], folder)
        try:
            run(cluster)
        except BaseException:
            print(cluster.logs())
            raise
        finally:
            cluster.end()
