#!/usr/bin/env python3
"""Three nodes with TLS, made as docs/operations.md says, while strangers knock at their cluster ports all the time.

    tls_test.py PROGRAM        environment: TROUPE_SEED

Writes go on through every node and no link is lost; a node that is killed is replaced and comes back. The strangers: no TLS, half a
hello, silence, a certificate by another authority, none at all, and one who has the key of node 2 and speaks CAF's protocol wrongly.
"""

import os
import shutil
import socket
import ssl
import sys
import threading
import time

import history
from certificates import configuration, make_certificates
from clients import Load
from cluster_process import Cluster, NodeProcess, fresh_folder, free_ports, until

SEED = int(os.environ.get("TROUPE_SEED", "1"))
TOPIC = "orders"
PARTITIONS = 6
SILENT_MAX = 1000
DESCRIPTORS_MORE_MAX = 300


class SecureCluster(Cluster):
    """Its nodes listen at every address, which they may do with TLS alone."""

    def __init__(self, program, folder, certificates):
        self.certificates = certificates
        super().__init__(program, folder)

    def process(self, name, node_id, http_port, cluster_port, voters, host="127.0.0.1"):
        return self.secure(name, node_id, node_id, http_port, cluster_port, voters)

    def secure(self, name, node_id, certificate_id, http_port, cluster_port, voters):
        folder = os.path.join(self.folder, name)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "node.toml")
        with open(path, "w", encoding="utf-8") as config:
            config.write(f'[cluster]\nlisten = "0.0.0.0:{cluster_port}"\n\n{configuration(self.certificates, certificate_id)}')
        return NodeProcess(self.program, folder, ["--config", path, "--node-id", str(node_id), "--voters", voters], http_port)


class Strangers:
    """Threads that knock at every port until they are told to stop."""

    def __init__(self, ports, certificates, others):
        self.ports = list(ports)
        self.stopping = threading.Event()
        self.told = {}
        self.silent = []
        node_2 = os.path.join(certificates, "broker-2")
        kinds = {"no TLS": lambda port: self.say(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                 "half a hello": lambda port: self.say(port, b"\x16\x03\x01\x02\x00\x01\x00"),
                 "garbage": lambda port: self.say(port, bytes(range(256)) * 64),
                 "silence": self.keep,
                 "no certificate": lambda port: self.tls(port, None, b""),
                 "another authority": lambda port: self.tls(port, os.path.join(others, "broker-3"), b""),
                 # An empty handshake ends a process of CAF's; then what nobody could keep in memory.
                 "an empty handshake by node 2": lambda port: self.tls(port, node_2, bytes([1]) + bytes(31)),
                 "4 GiB by node 2": lambda port: self.tls(port, node_2, bytes([2, 0, 0, 0]) + b"\xff" * 4 + bytes(24))}
        self.threads = [threading.Thread(target=self.run, args=kind) for kind in kinds.items()]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        for one in self.silent:
            one.close()

    def run(self, name, knock):
        while not self.stopping.wait(0.02):
            for port in self.ports:
                try:
                    knock(port)
                except OSError:  # refused, reset, a failed handshake: what a stranger should get
                    pass
                self.told[name] = self.told.get(name, 0) + 1

    def say(self, port, words):
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(words)
            connection.recv(1)

    def keep(self, port):
        self.silent.append(socket.create_connection(("127.0.0.1", port), timeout=1))
        if len(self.silent) > SILENT_MAX:
            self.silent.pop(0).close()

    def tls(self, port, files, words):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if files:
            context.load_cert_chain(files + ".pem", files + ".key")
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            with context.wrap_socket(connection) as secured:
                secured.sendall(words)
                while secured.recv(65536):
                    pass


def links_lost(cluster):
    return [line for node in cluster.nodes.values() for line in node.log_lines() if '"msg":"link down"' in line]


def descriptors(cluster):
    return {n: len(os.listdir(f"/proc/{node.process.pid}/fd")) for n, node in cluster.nodes.items()}


def undisturbed(cluster, log, certificates, others):
    """Three tries: on a busy machine a node may be silent for 0.8 s without a stranger's help, and is rightly suspected."""
    at_rest = descriptors(cluster)
    for rest in (2, 1, 0):
        lost = len(links_lost(cluster))
        began = time.monotonic()
        most = dict(at_rest)
        with Strangers(cluster.cluster_ports.values(), certificates, others) as strangers:
            def knocked():
                for n, count in descriptors(cluster).items():
                    most[n] = max(most[n], count)
                return time.monotonic() - began > 10 and len(strangers.told) == len(strangers.threads)
            until(knocked, 60, lambda: f"not everybody has knocked: {strangers.told}")
        for n, node in cluster.nodes.items():
            assert node.process.poll() is None, f"node {n} ended with {node.process.returncode}\n{node.log_tail()}"
            assert most[n] - at_rest[n] < DESCRIPTORS_MORE_MAX, f"node {n} had {most[n]} descriptors, {at_rest[n]} at rest"
        troubles = log.troubles_between(began, time.monotonic())
        gone = links_lost(cluster)[lost:]
        print(f"knocks {strangers.told}; descriptors {at_rest}, at most {most}; lost {gone}; failed {troubles[:3]}", flush=True)
        if not gone and not troubles:
            return
        cluster.wait_whole(TOPIC)
        assert rest, "links were lost each of three times"


def failover(cluster, log, certificates, others):
    with Strangers(cluster.cluster_ports.values(), certificates, others):
        victim = cluster.most_leading(TOPIC)
        cluster.nodes[victim].kill()
        began = time.monotonic()
        until(lambda: cluster.without(victim, TOPIC), 60, "the one that was killed leads, or is in an ISR")
        until(lambda: log.all_written_since(began, PARTITIONS), 60, "not all partitions are written")
        print(f"node {victim} was killed: all partitions are written {time.monotonic() - began:.1f} s later", flush=True)
        cluster.start(victim)
        cluster.wait_whole(TOPIC, seconds=60)


def refused(process, code, *words):
    process.start(wait=False)
    try:
        assert process.process.wait(20) == code, f"it ended with {process.process.returncode}:\n{process.log_tail()}"
        said = process.log_tail()
        assert all(word in said for word in words), f"{words} not in:\n{said}"
    finally:
        process.end()


def wrong_starts(cluster):
    http_port, port = free_ports(2)
    voters = f"3@127.0.0.1:{port}"
    refused(cluster.secure("wrong-name", 3, 2, http_port, port, voters), 1, "is of broker-2, and node.id is 3")
    bare = NodeProcess(cluster.program, cluster.nodes[1].folder + "-bare", ["--cluster", f"0.0.0.0:{port}", "--voters", voters], http_port)
    os.makedirs(bare.folder)
    refused(bare, 2, "which other machines can reach", "cluster.tls.certificate")
    # A node with a name of its own that another authority has signed: it runs, and nobody links it.
    away = cluster.secure("away", 3, 3, http_port, port, cluster.voters.replace(f"3@127.0.0.1:{cluster.cluster_ports[3]}", voters))
    away.start(wait=False)
    try:
        until(lambda: any("certificate verify failed" in line for line in away.log_lines()), 20, away.log_tail)
    finally:
        away.end()


def run(cluster, folder, certificates, others):
    cluster.start()
    for n in cluster.nodes:
        until(lambda: cluster.ready(n), 60, lambda: f"node {n} is not ready: {cluster.ask(n, '/readyz')}")  # noqa: B023
    cluster.nodes[1].call("POST", "/v1/topics", {"name": TOPIC, "partitions": PARTITIONS, "replication_factor": 3})
    cluster.wait_whole(TOPIC, seconds=60)
    log = history.History()
    load = Load(cluster, TOPIC, PARTITIONS, log, SEED)
    load.start(writers_a_node=1, retriers=1)
    until(lambda: log.all_written_since(0, PARTITIONS), 30, "nothing is written")
    undisturbed(cluster, log, certificates, others)
    failover(cluster, log, certificates, others)
    load.stop()
    cluster.wait_whole(TOPIC, seconds=60)
    logs = {n: node.read_all(TOPIC) for n, node in cluster.nodes.items()}
    wrong = history.violations(log.attempts, logs, log.reads)
    assert not wrong, f"{len(wrong)} violations:\n" + "\n".join(wrong[:20])
    print(f"{len(log.attempts)} writes", flush=True)
    foreign = SecureCluster(cluster.program, os.path.join(folder, "foreign"), others)
    foreign.cluster_ports, foreign.voters = cluster.cluster_ports, cluster.voters
    wrong_starts(foreign)


def main(program):
    if not shutil.which("openssl"):
        print("skipped: package openssl is missing")
        return 77
    print(f"reproduce: TROUPE_SEED={SEED} tls_test.py PROGRAM", flush=True)
    with fresh_folder() as folder:
        certificates = make_certificates(os.path.join(folder, "certificates"))
        others = make_certificates(os.path.join(folder, "others"))
        cluster = SecureCluster(program, folder, certificates)
        try:
            run(cluster, folder, certificates, others)
        except BaseException:
            print(cluster.logs())
            raise
        finally:
            cluster.end()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
