"""Nodes in network namespaces of their own, wired through net_switch: links that are cut, held, slow, or lose packets."""

import contextlib
import ctypes
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "crash", "process"))

import support  # noqa: E402

from certificates import configuration  # noqa: E402
from cluster_process import Cluster  # noqa: E402
from node_process import NodeProcess  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
HTTP_PORT = 8080
CLUSTER_PORT = 9070


def address(n):
    return f"127.9.0.{n}"


def enter_namespaces():
    """Runs this script once more in a mount and a process namespace of its own: whatever ends it, its nodes and mounts go with it."""
    if os.environ.get("FAULTS_NAMESPACE") == "1" and os.getpid() == 1:
        return
    flags = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    support.need_program("unshare", "util-linux")
    probe = subprocess.run(["unshare", *flags, "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        support.skip(f"machine: no mount or process namespaces ({probe.stderr.strip()})")
    child = subprocess.Popen(["unshare", *flags, sys.executable] + sys.argv, env=dict(os.environ, FAULTS_NAMESPACE="1"),
                             preexec_fn=support.die_with_parent)
    sys.exit(child.wait())


@contextlib.contextmanager
def inside(namespace, home=os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)):
    """The calling thread is in the namespace: sockets that it makes and programs that it starts stay there."""
    if LIBC.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    try:
        yield
    finally:
        if LIBC.setns(home, CLONE_NEWNET) != 0:
            os.abort()  # a thread in the wrong network proves nothing


class Connection(http.client.HTTPConnection):
    """Opened in a namespace, used from anywhere. Clients reach their node over its own loopback, whatever the network does."""

    def __init__(self, namespace, *arguments, **options):
        super().__init__(*arguments, **options)
        self.namespace = namespace

    def connect(self):
        with inside(self.namespace):
            super().connect()


class Switch:
    """The process that holds the namespaces and the wires."""

    def __init__(self, program, count, seed, strangers=0):
        """Namespaces 1 to `count`, and beyond them as many for strangers: their links stay as they are."""
        self.numbers = range(1, count + 1)
        self.process = subprocess.Popen([program, str(count + strangers), str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)
        self.namespaces = {}
        for line in iter(self.process.stdout.readline, "ready\n"):
            if not line.startswith("namespace "):
                if line.startswith("SKIPPED: "):
                    support.skip(line.strip().removeprefix("SKIPPED: "))
                raise AssertionError(f"net_switch said {line!r}, and ended with {self.process.wait()}")
            _, n, path = line.split()
            self.namespaces[int(n)] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def say(self, line):
        self.process.stdin.write(line + "\n")
        answer = self.process.stdout.readline().strip()
        assert answer and not answer.startswith("error"), f"net_switch: {line}: {answer}"
        return answer

    def link(self, a, b, rule=""):
        """The rule of the link from a to b: words as in net_switch.cpp; nothing: a good wire."""
        self.say(f"link {a} {b} {rule}")

    def links(self):
        return [(a, b) for a in self.numbers for b in self.numbers if a != b]

    def all(self, rule=""):
        for a, b in self.links():
            self.link(a, b, rule)

    def count(self, what, links=None):
        """How many packets of these links were that, link by link."""
        told = json.loads(self.say("count"))
        return [told[f"{a}-{b}"][what] for a, b in links or self.links()]

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        for namespace in self.namespaces.values():
            os.close(namespace)


class NetworkedNode(NodeProcess):
    namespace = None
    environment = None

    def launch(self, command, log):
        with inside(self.namespace):
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    env=dict(os.environ, **(self.environment or {})))

    def connection(self, timeout):
        return Connection(self.namespace, "127.0.0.1", self.port, timeout=timeout)


class NetworkedCluster(Cluster):
    """Nodes 1 to `count`, each in a namespace: HTTP on its loopback, the cluster over the switch, with TLS when there are certificates."""

    def __init__(self, program, folder, switch, count=3, certificates=None):
        self.switch = switch
        self.certificates = certificates
        super().__init__(program, folder, count)

    def ports(self, count):
        """The same on each node: namespaces have ports of their own."""
        numbers = range(1, count + 1)
        return dict.fromkeys(numbers, HTTP_PORT), dict.fromkeys(numbers, CLUSTER_PORT)

    def host(self, n):
        return address(n)

    def process(self, name, node_id, *arguments):
        made = super().process(name, node_id, *arguments)
        made.options += self.tls_options(made.folder, node_id)
        return made

    def tls_options(self, folder, node_id):
        """Of a node that knows the others' authority."""
        if not self.certificates:
            return []
        path = os.path.join(folder, "node.toml")
        with open(path, "w", encoding="utf-8") as config:
            config.write(configuration(self.certificates, node_id))
        return ["--config", path]

    def check_tls(self):
        """Each node shows its certificate at its port for the others."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        for n, node in self.nodes.items():
            with open(os.path.join(self.certificates, f"broker-{n}.pem"), encoding="ascii") as file:
                expected = ssl.PEM_cert_to_DER_cert(file.read())
            with inside(node.namespace):
                plain = socket.create_connection((address(n), CLUSTER_PORT), timeout=10)
            with plain, context.wrap_socket(plain) as secured:
                assert secured.getpeercert(True) == expected, f"node {n} shows another certificate"

    def node(self, host, folder, options, http_port):
        """In the namespace that has the address."""
        made = NetworkedNode(self.program, folder, options, http_port)
        made.namespace = self.switch.namespaces[int(host.rpartition(".")[2])]
        return made

    def end(self):
        super().end()
        self.switch.end()
