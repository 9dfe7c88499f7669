#!/usr/bin/env python3
"""A node is killed with SIGKILL again and again under REST and WebSocket load, and started on the same data.

    kill_test.py PROGRAM        environment: TROUPE_KILLS (50), TROUPE_SEED

Producers over REST (Idempotency-Key) and over WebSocket (pid, seq) send numbered records, and send again what was not acknowledged.
WebSocket subscribers go on at their cursor, event streams at their Last-Event-ID. At the end:
  every acknowledged record is at the partition and offset that were acknowledged, with its key and value;
  every record of a client that was acknowledged is there once, and in the order in which it was sent;
  every subscriber saw every offset of every partition once, in order.
"""

import asyncio
import collections
import json
import os
import random
import sys
import threading
import time

import http.client

import websockets

from node_process import NodeProcess, fresh_folder

KILLS = int(os.environ.get("TROUPE_KILLS", "50"))
SEED = int(os.environ.get("TROUPE_SEED", str(time.time_ns() % 1_000_000)))
TOPIC = "killed"
PARTITIONS = 3
LATE_S = 20


async def some_time(seconds):
    """Between two tries, and between two kills: nothing is waited for."""
    never = asyncio.create_task(asyncio.Event().wait())
    await asyncio.wait([never], timeout=seconds)
    never.cancel()


class Ledger:
    """What was sent and what was acknowledged. Used by threads and by the event loop."""

    def __init__(self):
        self.lock = threading.Lock()
        self.acknowledged = []  # (client, number, key, partition, offset)
        self.retries = 0
        self.duplicates = 0

    def acknowledge(self, client, number, key, result):
        assert "err" not in result, f"{client}/{number} was refused: {result}"
        with self.lock:
            self.acknowledged.append((client, number, key, result["p"], result["o"]))
            self.duplicates += bool(result.get("dup"))

    def retry(self):
        with self.lock:
            self.retries += 1


def value_of(client, number):
    return {"c": client, "n": number, "pad": "x" * (number * 37 % 200)}


def produce_by_rest(node, client, ledger, stop):
    """One request at a time, each until it is acknowledged."""
    connection = None
    number = 0
    while not stop.is_set():
        key = f"k{number % 11}"
        body = json.dumps({"records": [{"key": key, "value": value_of(client, number)}]})
        deadline = time.monotonic() + LATE_S
        while True:
            assert time.monotonic() < deadline, f"{client}/{number}: not acknowledged within {LATE_S} s"
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", node.port, timeout=20)
                connection.request("POST", f"/v1/topics/{TOPIC}/records", body,
                                   {"Content-Type": "application/json", "Idempotency-Key": f"{client}-{number}"})
                response = connection.getresponse()
                answer = response.read()
                if response.status == 200:
                    ledger.acknowledge(client, number, key, json.loads(answer)["results"][0])
                    break
                assert response.status >= 500, f"{client}/{number}: {response.status} {answer}"
            except (OSError, http.client.HTTPException):
                connection = None
            ledger.retry()
            if stop.wait(0.01):
                return
        number += 1


async def produce_by_websocket(node, client, ledger, stop):
    """Up to eight commands on their way; after a break those without an answer are sent again, in order."""
    open_numbers = collections.OrderedDict()
    number = 0
    while not stop.is_set():
        try:
            async with websockets.connect(f"ws://127.0.0.1:{node.port}/v1/ws", subprotocols=["troupe.v1.json"], ping_interval=None,
                                          open_timeout=10, max_size=None) as socket:
                await socket.send(json.dumps({"id": 1_000_000_000, "op": "connect"}))

                async def send(one):
                    key = f"k{one % 11}"
                    await socket.send(json.dumps({"id": one + 1, "op": "produce", "topic": TOPIC, "key": key,
                                                  "value": value_of(client, one), "pid": client, "seq": one}))

                for one in list(open_numbers):
                    ledger.retry()
                    await send(one)
                while not (stop.is_set() and not open_numbers):
                    while len(open_numbers) < 8 and not stop.is_set():
                        open_numbers[number] = True
                        number += 1
                        await send(number - 1)
                    frames = await asyncio.wait_for(socket.recv(), LATE_S)
                    for frame in map(json.loads, frames.split("\n")):
                        if "re" not in frame or frame["re"] > 999_999_999:
                            continue
                        one = frame["re"] - 1
                        if "err" in frame:
                            assert frame["err"]["retry"], f"{client}/{one}: {frame}"
                            raise ConnectionError("told to retry")
                        ledger.acknowledge(client, one, f"k{one % 11}", frame["ok"])
                        open_numbers.pop(one)
        except (OSError, websockets.WebSocketException, asyncio.TimeoutError):
            await some_time(0.01)
    return


class Stream:
    """What one subscriber saw: every offset of a partition once, in order."""

    def __init__(self, name):
        self.name = name
        self.next = collections.defaultdict(int)
        self.connects = 0

    def see(self, record):
        expected = self.next[record["p"]]
        assert record["o"] == expected, f"{self.name}: partition {record['p']}: offset {record['o']} after {expected - 1}"
        self.next[record["p"]] += 1

    def complete(self, ends):
        return all(self.next[p] >= end for p, end in ends.items())


async def subscribe_by_websocket(node, stream, done):
    cursor = None
    while not done(stream):
        try:
            async with websockets.connect(f"ws://127.0.0.1:{node.port}/v1/ws", subprotocols=["troupe.v1.json"], ping_interval=None,
                                          open_timeout=10, max_size=None) as socket:
                stream.connects += 1
                begin = {"cursor": cursor} if cursor else {"earliest": True}
                await socket.send(json.dumps({"id": 1, "op": "connect"}) + "\n" +
                                  json.dumps({"id": 2, "op": "subscribe", "sub": "s", "topics": [TOPIC], "from": begin}))
                while not done(stream):
                    try:
                        frames = await asyncio.wait_for(socket.recv(), 0.5)
                    except asyncio.TimeoutError:
                        continue
                    for frame in map(json.loads, frames.split("\n")):
                        assert "err" not in frame or frame["err"]["retry"], f"{stream.name}: {frame}"
                        assert frame.get("state") not in ("gap", "reset"), f"{stream.name}: {frame}"
                        if frame.get("ev") == "records":
                            for record in frame["r"]:
                                stream.see(record)
                            cursor = frame["c"]
        except (OSError, websockets.WebSocketException, asyncio.TimeoutError):
            await some_time(0.01)


async def subscribe_by_events(node, stream, done):
    """An event stream as a browser reads it: what came after the last id may come again, and nothing else."""
    last_id = None
    while not done(stream):
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
            stream.connects += 1
            resume = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
            writer.write((f"GET /v1/topics/{TOPIC}/events?from=earliest HTTP/1.1\r\nHost: 127.0.0.1:{node.port}\r\n"
                          f"Accept: text/event-stream\r\n{resume}\r\n").encode())
            status = await asyncio.wait_for(reader.readline(), 10)
            if b" 200 " not in status:
                assert b" 503 " in status or not status, f"{stream.name}: {status}"
                raise ConnectionError("not ready")
            chunked = False
            while (line := await reader.readline()) not in (b"\r\n", b""):
                chunked = chunked or line.lower().startswith(b"transfer-encoding: chunked")
            # What was seen and not covered by an id is delivered again.
            again = dict(stream.next)
            text, data = b"", []
            while not done(stream):
                try:
                    size = int((await asyncio.wait_for(reader.readline(), 0.5)).strip() or b"0", 16) if chunked else 65536
                except asyncio.TimeoutError:
                    continue
                piece = await (reader.readexactly(size + 2) if chunked else reader.read(size))
                if size == 0 or not piece:
                    raise ConnectionError("ended")
                text += piece[:size] if chunked else piece
                *lines, text = text.split(b"\n")
                for line in lines:
                    if line.startswith(b"data: "):
                        data.append(json.loads(line[6:]))
                    elif line.startswith(b"id: "):
                        last_id = line[4:].decode()
                    elif line.startswith(b"event: gap"):
                        raise AssertionError(f"{stream.name}: a gap")
                    elif line == b"":
                        for record in data:
                            repeat = record["o"] < again.get(record["p"], 0)
                            if not repeat:
                                stream.see(record)
                        data = []
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError):
            await some_time(0.01)
        finally:
            if writer:
                writer.close()


async def kill_and_start(node, randomness):
    loop = asyncio.get_running_loop()
    took = []
    for _ in range(KILLS):
        await some_time(randomness.uniform(0.02, 0.4))
        await loop.run_in_executor(None, node.kill)
        began = time.monotonic()
        await loop.run_in_executor(None, node.start)
        took.append(time.monotonic() - began)
    return sorted(took)


async def run(node):
    randomness = random.Random(SEED)
    ledger = Ledger()
    stop = threading.Event()
    rest = [threading.Thread(target=lambda name=f"rest{i}": guarded(failures, produce_by_rest, node, name, ledger, stop)) for i in range(2)]
    failures = []
    for thread in rest:
        thread.start()
    ends = {}
    streams = [Stream(f"ws{i}") for i in range(2)] + [Stream("sse")]
    done = lambda stream: bool(ends) and stream.complete(ends)  # noqa: E731
    writers = [asyncio.create_task(produce_by_websocket(node, f"socket{i}", ledger, stop)) for i in range(2)]
    readers = [asyncio.create_task(subscribe_by_websocket(node, stream, done)) for stream in streams[:2]]
    readers.append(asyncio.create_task(subscribe_by_events(node, streams[2], done)))

    took = await kill_and_start(node, randomness)
    stop.set()
    await asyncio.wait_for(asyncio.gather(*writers), LATE_S)
    for thread in rest:
        await asyncio.get_running_loop().run_in_executor(None, thread.join, LATE_S)
    assert not failures, failures[0]
    log = await asyncio.get_running_loop().run_in_executor(None, node.read_all, TOPIC)
    ends.update({partition: records[-1]["o"] + 1 for partition, records in log.items()})
    try:
        await asyncio.wait_for(asyncio.gather(*readers), LATE_S)
    except asyncio.TimeoutError as late:
        seen = {stream.name: dict(stream.next) for stream in streams}
        raise AssertionError(f"subscribers did not see everything within {LATE_S} s: {seen}, the log ends at {ends}") from late
    check(log, ledger, streams)
    print(f"{KILLS} kills; ready again in {took[len(took) // 2] * 1000:.0f} ms (median), {took[-1] * 1000:.0f} ms at most")
    print(f"{len(ledger.acknowledged)} acknowledged, {ledger.retries} sent again, {ledger.duplicates} known as repeated; "
          f"{sum(map(len, log.values()))} records in the log; streams connected {[s.connects for s in streams]} times")


def guarded(failures, work, *arguments):
    try:
        work(*arguments)
    except Exception as failure:  # told in the main thread
        failures.append(failure)


def check(log, ledger, streams):
    for partition, records in log.items():
        offsets = [record["o"] for record in records]
        assert offsets == list(range(len(offsets))), f"partition {partition}: offsets are not 0 to {len(offsets) - 1}"
    at = {(record["p"], record["o"]): record for records in log.values() for record in records}
    for client, number, key, partition, offset in ledger.acknowledged:
        record = at.get((partition, offset))
        assert record, f"{client}/{number} was acknowledged at {partition}/{offset} and is not there"
        assert record["k"] == key and record["v"] == value_of(client, number), f"{client}/{number}: {record} is at its place"
    seen = collections.Counter((record["v"]["c"], record["v"]["n"]) for record in at.values())
    repeated = {who: count for who, count in seen.items() if count > 1}
    assert not repeated, f"written more than once: {repeated}"
    acknowledged = {(client, number) for client, number, *_ in ledger.acknowledged}
    assert acknowledged <= set(seen)
    for partition, records in log.items():
        last = {}
        for record in records:
            client, number = record["v"]["c"], record["v"]["n"]
            assert last.get(client, -1) < number, f"partition {partition}: {client}/{number} after {last[client]}"
            last[client] = number
    for stream in streams:
        assert stream.complete({p: len(records) for p, records in log.items()}), stream.name


def main():
    print(f"reproduce: TROUPE_SEED={SEED} TROUPE_KILLS={KILLS} kill_test.py PROGRAM", flush=True)
    with fresh_folder() as folder:
        node = NodeProcess(sys.argv[1], folder)
        try:
            node.start()
            node.call("POST", "/v1/topics", {"name": TOPIC, "partitions": PARTITIONS})
            asyncio.run(run(node))
            code, seconds = node.stop()
            assert code == 0 and seconds < 2, f"SIGTERM: exit code {code} after {seconds:.2f} s"
            assert not node.error_lines(), "\n".join(node.error_lines()[:5])
        except BaseException:
            print(node.log_tail())
            raise
        finally:
            node.end()


main()
