"""A member of a group in a process of its own, which a test may kill, pause and look over the shoulder of.

usage: group_worker.py NAME GROUP TOPIC LOG PORT [PORT ...]

One line of JSON for each thing that happens, with the machine's monotonic time: what became its own, what it gave up, what it worked on. A
record is worked on when its line is written; only then is it acknowledged. When its node goes it goes to the next one.
"""

import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "node"))

from websocket_wire import CLOSE, PING, PONG, TEXT, RawSocket, frame  # noqa: E402

CREDIT = 60  # records on their way to it: as many may come twice when it dies
PAUSE_S = 0.1


class Worker:
    def __init__(self, name, group, topic, log, ports):
        self.name = name
        self.group = group
        self.topic = topic
        self.log = log
        self.ports = ports
        self.pause = threading.Event()

    def note(self, what, **more):
        self.log.write(json.dumps({"t": time.monotonic(), "what": what, "worker": self.name, **more}) + "\n")
        self.log.flush()

    def run(self):
        at = 0
        while True:
            port = self.ports[at % len(self.ports)]
            at += 1
            try:
                with RawSocket(port, connected=False) as socket:
                    self.work(socket)
            except (OSError, AssertionError, IndexError) as failure:
                self.note("no_node", port=port, why=repr(failure)[:200])
            self.pause.wait(PAUSE_S)

    def work(self, socket):
        socket.say({"id": 1, "op": "connect", "resume_grace_ms": 0, "ping_ms": 2000},
                   {"id": 2, "op": "subscribe", "sub": "w", "topics": [self.topic], "group": self.group, "ack": "manual",
                    "from": {"committed": True, "else": "earliest"}, "credit": {"msgs": CREDIT, "bytes": 1 << 20}})
        while True:
            got = socket.next_frame(60)
            if got is None:
                return self.note("closed")
            opcode, payload = got
            if opcode == PING:
                socket.send(frame(PONG, payload))
            elif opcode == CLOSE:
                return self.note("closed", code=payload[:2].hex())
            elif opcode == TEXT:
                for line in payload.decode().split("\n"):
                    self.take(socket, json.loads(line))

    def take(self, socket, message):
        if "error" in message or message.get("state") == "ended":
            self.note("error", message=message)
        if message.get("ev") == "records":
            done = {}
            for record in message["r"]:
                self.note("record", p=record["p"], o=record["o"])
                done[str(record["p"])] = record["o"]
            socket.say({"op": "ack", "sub": "w", "upto": {self.topic: done}},
                       {"op": "credit", "sub": "w", "msgs": len(message["r"]), "bytes": len(json.dumps(message))})
        elif message.get("ev") == "sub":
            self.note(message["state"], p=message.get("partitions", {}).get(self.topic, []))
            if message["state"] == "revoking":
                socket.say({"op": "revoked", "sub": "w", "partitions": message["partitions"]})


def main():
    name, group, topic, path, *ports = sys.argv[1:]
    with open(path, "a", encoding="utf-8") as log:
        Worker(name, group, topic, log, [int(port) for port in ports]).run()


if __name__ == "__main__":
    main()
