"""Three nodes are drained, stopped and started one after the other, under a load. Whoever reads through one of them is told, goes on at
another one, and has every record once and in order.

   goaway_test.py TROUPE
"""

import http.client
import json
import sys
import threading
import urllib.parse

from cluster_process import ASK_ERRORS, run_on_cluster, until
from websocket_wire import RawSocket

TOPIC = "moving"
PARTITIONS = 3
PATIENCE_S = 60
RECORDS_A_ROUND = 60


class Reader(threading.Thread):
    """Follows the topic; what it is given has to be what comes next in each partition."""

    def __init__(self, cluster, name, node):
        super().__init__(name=name, daemon=True)
        self.cluster = cluster
        self.port = cluster.nodes[node].port
        self.following = {p: 0 for p in range(PARTITIONS)}
        self.values = []
        self.cursor = None
        self.moves = []  # the ports that were left
        self.stopping = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.stopping.is_set():
                try:
                    self.follow()
                except ASK_ERRORS as failure:
                    # The node that was named may just be starting, or be the next one to stop.
                    self.failure = self.failure or self.give_up_after(failure)
                    if self.failure:
                        return
        except Exception as failure:  # told in the main thread
            self.failure = f"{self.name}: {type(failure).__name__}: {failure}"

    def give_up_after(self, failure):
        ports = sorted(node.port for node in self.cluster.nodes.values())
        self.port = ports[(ports.index(self.port) + 1) % len(ports)]
        self.stopping.wait(0.05)
        self.troubles = getattr(self, "troubles", 0) + 1
        return f"{self.name}: {failure}" if self.troubles > 200 else None

    def take(self, record):
        p, offset = record["p"], record["o"]
        assert offset == self.following[p], f"partition {p}: offset {offset} after {self.following[p] - 1}"
        self.following[p] += 1
        self.values.append(record["v"])

    def move(self, nodes):
        others = {f"ws://127.0.0.1:{node.port}/v1/ws" for node in self.cluster.nodes.values() if node.port != self.port}
        assert set(nodes) == others, f"{nodes} instead of {others}"
        self.moves.append(self.port)
        self.port = urllib.parse.urlsplit(nodes[len(self.moves) % len(nodes)]).port


class SocketReader(Reader):
    """A WebSocket that leaves when it is told (`leaves`), or is served until it is closed."""

    def __init__(self, cluster, name, node, leaves):
        super().__init__(cluster, name, node)
        self.leaves = leaves
        self.served_after = 0  # records between goaway and the end
        self.codes = []

    def follow(self):
        nodes = None
        with RawSocket(self.port) as socket:
            start = {"cursor": self.cursor} if self.cursor else {"earliest": True}
            told = socket.ask({"id": 1, "op": "subscribe", "sub": "s", "topics": [TOPIC], "from": start})
            if "ok" not in told:
                raise OSError(f"not subscribed: {told}")
            while not self.stopping.is_set():
                one = socket.expect(lambda each: each.get("ev") in ("records", "goaway", "sub", "progress"), 0.2)
                if one is None and (socket.closed or socket.close_code is not None):
                    break
                if one is None:
                    continue
                if one["ev"] == "goaway":
                    nodes = one["nodes"]
                    if self.leaves:
                        break
                elif one["ev"] == "records":
                    for record in one["r"]:
                        self.take(record)
                    self.served_after += len(one["r"]) if nodes else 0
                    self.cursor = one["c"]
                elif one["ev"] == "progress":
                    self.cursor = one["c"]
                else:
                    assert one["state"] in ("caught_up", "live"), one
        if self.stopping.is_set():
            return
        assert nodes is not None, f"closed with {socket.close_code} and not told before"
        if not self.leaves:
            self.codes.append(socket.close_code)
        self.move(nodes)


class EventReader(Reader):
    """An event stream. It is not told where to go: it comes back by its Last-Event-ID, to another node."""

    def follow(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.connect()
        stream = connection.sock
        stream.settimeout(PATIENCE_S)
        try:
            headers = {"Last-Event-ID": self.cursor} if self.cursor else {}
            connection.request("GET", f"/v1/topics/{TOPIC}/events?from=earliest", headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                raise OSError(f"{response.status} {response.read()[:200]}")
            retry = None
            event, data = "message", []
            while not self.stopping.is_set():
                line = response.readline()
                if not line:
                    break
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if field == "retry":
                    retry = int(value)
                elif field == "event":
                    event = value
                elif field == "data":
                    data.append(value)
                elif field == "id":
                    self.cursor = value
                elif field == "" and data:
                    assert event == "message", f"{event} {data}"
                    self.take(json.loads("\n".join(data)))
                    event, data = "message", []
            if self.stopping.is_set():
                return
            assert retry == 500, f"the stream ended, the last retry was {retry}"
            assert not data, f"the stream ended within an event: {data}"
        finally:
            connection.close()
        self.moves.append(self.port)
        others = sorted(node.port for node in self.cluster.nodes.values() if node.port != self.port)
        self.port = others[len(self.moves) % len(others)]


def produce(cluster, through, value):
    """Sent again with the same key until it is there: whatever happens it is written once."""
    body = json.dumps({"records": [{"key": value, "value": value}]}).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": value}

    def once():
        try:
            status, _, answer = cluster.nodes[through].request("POST", f"/v1/topics/{TOPIC}/records", body, headers, timeout=40)
        except ASK_ERRORS:
            return None
        return status == 200 and "err" not in json.loads(answer)["results"][0]

    until(once, PATIENCE_S, f"{value} was not acknowledged through node {through}")


def write(cluster, through, keys):
    for _ in range(RECORDS_A_ROUND // 2):
        keys.append(f"r{len(keys)}")
        produce(cluster, through, keys[-1])


def run(cluster):
    cluster.start()
    until(lambda: all(cluster.ready(n) for n in cluster.nodes), PATIENCE_S, cluster.logs)
    cluster.nodes[1].call("POST", "/v1/topics", {"name": TOPIC, "partitions": PARTITIONS, "replication_factor": 3})
    cluster.wait_whole(TOPIC, seconds=PATIENCE_S)
    readers = [SocketReader(cluster, "leaves", 1, True), SocketReader(cluster, "stays", 1, False), EventReader(cluster, "events", 1)]
    for reader in readers:
        reader.start()
    keys = []

    def caught_up():
        assert not any(reader.failure for reader in readers), [reader.failure for reader in readers if reader.failure]
        return all(len(reader.values) >= len(keys) for reader in readers)

    def told():
        return {reader.name: f"{len(reader.values)} of {len(keys)} at {reader.port}, left {reader.moves}, {reader.failure}"
                for reader in readers}

    def under_load(act, node):
        """Who reads through `node` has left it when `act` has been done to it and some records were written meanwhile."""
        through = next(n for n in cluster.nodes if n != node)
        write(cluster, through, keys)
        until(caught_up, PATIENCE_S, told)
        here = {reader: len(reader.moves) for reader in readers if reader.port == cluster.nodes[node].port}
        writer = threading.Thread(target=write, args=(cluster, through, keys))
        writer.start()
        result = act()
        writer.join()
        until(lambda: caught_up() and all(len(reader.moves) > moves for reader, moves in here.items()), PATIENCE_S, told)
        return result

    drained = under_load(lambda: cluster.nodes[2].call("POST", "/v1/cluster/brokers/1/drain", {}), 1)
    assert all(len(reader.moves) == 1 for reader in readers), f"{drained} {told()}"
    cluster.nodes[3].call("POST", "/v1/cluster/brokers/1/undrain", {})
    slowest = 0
    for victim in cluster.nodes:
        code, seconds = under_load(cluster.nodes[victim].stop, victim)
        assert code == 0, f"node {victim} ended with {code}"
        slowest = max(slowest, seconds)
        cluster.start(victim)
        cluster.wait_whole(TOPIC, seconds=PATIENCE_S)
    assert all(len(reader.moves) > 1 for reader in readers), told()
    for reader in readers:
        reader.stopping.set()
    produce(cluster, 1, "last")  # whoever waits for a line gets one
    for reader in readers:
        reader.join(PATIENCE_S)
        assert not reader.is_alive() and not reader.failure, f"{reader.name}: {reader.failure}"
        values = [value for value in reader.values if value != "last"]
        assert sorted(values) == sorted(keys), f"{reader.name} has {len(values)} records of {len(keys)}"
    stays = readers[1]
    assert set(stays.codes) == {4000}, f"closed with {stays.codes}"
    print(f"{len(keys)} records, each once and in order for {len(readers)} readers; nodes left: {told()}; a node needed at most "
          f"{slowest:.2f} s to stop; records between goaway and close: {stays.served_after}")


if __name__ == "__main__":
    run_on_cluster(f"goaway_test.py {sys.argv[1]}", run)
