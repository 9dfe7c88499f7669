#!/usr/bin/env python3
"""WebSocket and event streams, misused: reliability.md 4.4, rows 79 to 99 and 101 to 103, frame by frame over raw sockets.

    streams_input_test.py PROGRAM
"""

import json
import socket
import sys
import threading
import time
import zlib

from node_process import NodeProcess, fresh_folder
from websocket_wire import BINARY, CONTINUATION, PING, PONG, RawSocket, TEXT, close_frame, frame, upgrade
from wire import Table, ask, connect, converse, readable, request

MIB = 1 << 20


def check_handshakes(table, port):
    """Rows 79 to 85: what is no upgrade stays HTTP, with an answer."""
    def refused(row, what, data, statuses, closes=False):
        talk = converse(port, [data], probe_after=None if closes else 1)
        holds = bool(talk.answers) and talk.answers[0].status in statuses and talk.closed and 101 not in talk.statuses
        if closes:
            holds = holds and len(talk.answers) == 1 and talk.answers[0].field("connection") == "close"
        table.check(row, what, holds, str(talk))
        return talk.answers[0] if talk.answers else None

    for what, extra in [("a foreign origin", ["Origin: http://evil.example"]), ("origin null", ["Origin: null"]),
                        ("cross-site", ["Sec-Fetch-Site: cross-site"]), ("our name and another port", ["Origin: http://localhost:1"])]:
        refused(79, what, upgrade(extra=extra), {403})
    refused(79, "a foreign Host", upgrade(host=b"Host: evil.example\r\n"), {421}, closes=True)
    for what, key in [("no key", False), ("3 bytes", "YWJj"), ("200 bytes", "A" * 264 + "=="), ("no base64", "!" * 22 + "==")]:
        refused(80, what, upgrade(key=key), {400})
    refused(80, "two keys", upgrade(extra=["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]), {400})
    for version in ("12", "14", "13, 12", "", "x"):
        answer = refused(81, f"version {version!r}", upgrade(version=version), {426})
        table.check(81, f"version {version!r} says which", answer and answer.field("sec-websocket-version") == "13", str(answer))
    refused(82, "by POST", upgrade(method="POST"), {405})
    refused(82, "by HTTP/1.0", upgrade(protocol="HTTP/1.0"), {426})
    refused(82, "without Connection", upgrade(fields=["Upgrade: websocket"]), {426})
    refused(82, "without Upgrade", upgrade(fields=["Connection: Upgrade"]), {426})
    refused(82, "to h2c", upgrade(fields=["Upgrade: h2c", "Connection: Upgrade"]), {426})
    refused(83, "with a body", upgrade(extra=["Content-Length: 4"]) + b"ABCD", {400}, closes=True)
    refused(83, "with a chunked body", upgrade(extra=["Transfer-Encoding: chunked"]) + b"0\r\n\r\n", {400}, closes=True)
    for what, offer in [("a window that is none", "permessage-deflate; server_max_window_bits=7"), ("garbage", ";;,=,"),
                        ("a doubled parameter", "permessage-deflate; server_no_context_takeover; server_no_context_takeover"),
                        ("an unknown one", "x-webkit-deflate-frame")]:
        with RawSocket(port, extra=[f"Sec-WebSocket-Extensions: {offer}"]) as raw:
            table.check(84, what, raw.answer.field("sec-websocket-extensions") == "" and raw.ask({"id": 1, "op": "ping"}).get("ok"),
                        str(raw.answer))
    talk = converse(port, [upgrade(extra=["Sec-WebSocket-Protocol: troupe.v9.json"]) + frame(TEXT, '{"id":1,"op":"connect"}')])
    table.check(85, "an unknown subprotocol", talk.closed and (talk.statuses == [400] or b"\x88" in talk.rest and b"\x11\x97" in talk.rest),
                str(talk))


# (row, what, frames, close codes)
FRAMES = [
    (86, "unmasked", frame(TEXT, "hi", masked=False), {1002}),
    (87, "RSV1", frame(TEXT, "hi", reserved=4), {1002}),
    (87, "RSV2", frame(TEXT, "hi", reserved=2), {1002}),
    (87, "RSV3", frame(TEXT, "hi", reserved=1), {1002}),
    *[(87, f"opcode {opcode:x}", frame(opcode, "hi"), {1002}) for opcode in (3, 7, 0xb, 0xf)],
    (87, "a ping in pieces", frame(PING, "a", fin=False) + frame(CONTINUATION, "b"), {1002}),
    (87, "a ping of 126 bytes", frame(PING, "x" * 126), {1002}),
    (87, "a continuation of nothing", frame(CONTINUATION, "hi"), {1002}),
    (87, "a text within a text", frame(TEXT, "a", fin=False) + frame(TEXT, "b"), {1002}),
    (87, "a short length in 16 bits", frame(TEXT, "hi", width=16), {1002}),
    (87, "a short length in 64 bits", frame(TEXT, "hi", width=64), {1002}),
    (88, "no UTF-8", frame(TEXT, b"\xff\xfe"), {1007}),
    (88, "half a character", frame(TEXT, b"\xe2\x98"), {1007}),
    (88, "a surrogate", frame(TEXT, b"\xed\xa0\x80"), {1007}),
    (88, "a reason that is no UTF-8", close_frame(1000, b"\xff"), {1007, 1002}),
    *[(89, f"close {code}", close_frame(code), {1002}) for code in (0, 999, 1004, 1005, 1006, 1015, 2999)],
    (89, "a close of one byte", frame(8, b"\x03"), {1002}),
    (89, "a close of 126 bytes", frame(8, b"\x03\xe8" + b"x" * 124), {1002}),
    (90, "2^63 bytes", frame(TEXT, length=1 << 63, width=64), {1002, 1009, 4505}),
    (90, "2^63 - 1 bytes", frame(TEXT, length=(1 << 63) - 1, width=64), {1009, 4505}),
    (90, "17 MiB", frame(TEXT, length=17 * MIB, width=64) + b"x" * 100_000, {1009, 4505}),
    (90, "two fragments of 1 MiB", frame(TEXT, b" " * MIB, fin=False) + frame(CONTINUATION, b" " * MIB), {1009, 4505}),
    (98, "binary", frame(BINARY, b"hi"), {1003, 4502}),
]


def check_frames(table, port):
    for row, what, data, codes in FRAMES:
        for split in ("whole", "bytes"):
            if split == "bytes" and len(data) > 1000:
                continue
            with RawSocket(port) as raw:
                for piece in [data] if split == "whole" else [data[i:i + 1] for i in range(len(data))]:
                    raw.send(piece)
                code = raw.end()
            table.check(row, f"{what} ({split})", code in codes, f"closed with {code}")
    with RawSocket(port) as raw:
        raw.send(frame(TEXT, '{"id":1,"o', fin=False) + frame(PING, "p") + frame(CONTINUATION, 'p":"ping"}'))
        pong, reply = raw.next_frame(), raw.expect(lambda one: one.get("re") == 1)
        table.check(87, "a ping between the pieces of a text is right", pong == (PONG, b"p") and reply and "ok" in reply, f"{pong} {reply}")
        raw.send(frame(TEXT, "☃".encode()[:1], fin=False) + frame(CONTINUATION, "☃".encode()[1:]))
        error = raw.expect(lambda one: "err" in one)
        table.check(88, "a character in two pieces is right", error and error["err"]["code"] == "bad_request", str(error))
        raw.send(close_frame(1000))
        table.check(89, "a close is answered", raw.end() == 1000, str(raw.close_code))
    with RawSocket(port) as raw:
        began = time.monotonic()
        raw.send(frame(BINARY, b"hi"))
        code = raw.end(polite=False)
        table.check(98, "a client that does not answer the close is cut", code in (1003, 4502) and time.monotonic() - began < 4, str(code))
    # permessage-deflate is not offered, so nothing inflates; what claims to be compressed is refused (row 87, RSV1).
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(20 * MIB)) + packer.flush(zlib.Z_SYNC_FLUSH)
    with RawSocket(port, extra=["Sec-WebSocket-Extensions: permessage-deflate"]) as raw:
        deflated = "deflate" in raw.answer.field("sec-websocket-extensions")
        raw.send(frame(TEXT, bomb, reserved=4))
        table.check(91, "20 KiB that inflate to 20 MiB", raw.end() in ({1009, 4505} if deflated else {1002}), str(raw.close_code))


def check_floods(table, node):
    before = node.memory_kb()
    with RawSocket(node.port) as raw:
        raw.send(frame(TEXT, "", fin=False))
        for _ in range(200):
            if not raw.send(frame(CONTINUATION, "", fin=False) * 1000):
                break
        table.check(92, "200,000 empty continuations", raw.end() == 4506, str(raw.close_code))
    with RawSocket(node.port) as raw:
        for _ in range(200):
            if not raw.send(frame(PING, "x" * 100) * 100):
                break
        table.check(92, "20,000 pings, nothing read", raw.end() == 4506, str(raw.close_code))
    with RawSocket(node.port) as raw:
        raw.send(frame(PONG, "x") * 1000)
        table.check(92, "1,000 pongs", raw.end() == 4506, str(raw.close_code))
    with RawSocket(node.port) as raw:
        raw.send(frame(TEXT, '{"op"', fin=False) + frame(CONTINUATION, "", fin=False) * 60 + frame(CONTINUATION, ':"ping","id":3}'))
        table.check(92, "62 pieces are allowed", raw.expect(lambda one: one.get("re") == 3) is not None)
        raw.send(frame(PING, "x") * 50)
        table.check(92, "50 pings are allowed", "ok" in raw.ask({"id": 4, "op": "ping"}))
    table.check(92, "memory", node.memory_kb() - before < 16 * 1024, f"{before} KiB before, {node.memory_kb()} KiB after")


def error_of(reply):
    return (reply or {}).get("err", {}).get("code")


def check_commands(table, port):
    """Rows 94 to 97: whole frames with wrong commands. The connection goes on."""
    deep = '{"id":1,"op":"produce","topic":"t","value":' + "[" * 100_000 + "]" * 100_000 + "}"
    wrong = [
        (94, "connect twice", {"op": "connect"}, {"bad_request"}),
        (95, "an unknown op", {"op": "nope"}, {"bad_request"}),
        (95, "op is a number", {"op": 1}, {"bad_request"}),
        (95, "no op", {}, {"bad_request"}),
        (95, "produce without a topic", {"op": "produce", "value": 1}, {"bad_request"}),
        (95, "produce to an unknown topic", {"op": "produce", "topic": "none", "value": 1}, {"unknown_topic"}),
        (95, "produce to ..", {"op": "produce", "topic": "..", "value": 1}, {"unknown_topic", "bad_request"}),
        (95, "produce to the system's topic", {"op": "produce", "topic": "__consumer_offsets", "value": 1}, {"forbidden"}),
        (95, "produce to a partition that is not there", {"op": "produce", "topic": "t", "value": 1, "partition": 9},
         {"unknown_partition"}),
        (95, "acks of another kind", {"op": "produce", "topic": "t", "value": 1, "acks": 7}, {"bad_request"}),
        (95, "pid without seq", {"op": "produce", "topic": "t", "value": 1, "pid": "x"}, {"bad_request"}),
        (95, "seq -1", {"op": "produce", "topic": "t", "value": 1, "pid": "x", "seq": -1}, {"bad_request"}),
        (95, "no records", {"op": "produce", "topic": "t", "records": []}, {"bad_request"}),
        (95, "records that are none", {"op": "produce", "topic": "t", "records": [5]}, {"bad_request"}),
        (95, "a record of 1.2 MiB", {"op": "produce", "topic": "t", "value": "x" * 1_250_000}, {"too_large"}),
        (95, "history of an unknown topic", {"op": "history", "topic": "none"}, {"unknown_topic"}),
        (95, "history limit 0", {"op": "history", "topic": "t", "limit": 0}, {"bad_request"}),
        (95, "history before garbage", {"op": "history", "topic": "t", "before": "garbage"}, {"bad_request"}),
        (96, "sub of 10 KiB", {"op": "subscribe", "sub": "s" * 10_240, "topics": ["t"]}, {"bad_request"}),
        (96, "sub is empty", {"op": "subscribe", "sub": "", "topics": ["t"]}, {"bad_request"}),
        (96, "no topic", {"op": "subscribe", "sub": "s", "topics": []}, {"bad_request"}),
        (96, "an unknown topic", {"op": "subscribe", "sub": "s", "topics": ["none"]}, {"unknown_topic"}),
        (96, "100 topics", {"op": "subscribe", "sub": "s", "topics": [f"t{i}" for i in range(100)]}, {"bad_request"}),
        (96, "unsubscribe an unknown sub", {"op": "unsubscribe", "sub": "none"}, {"unknown_sub"}),
        (96, "credit to an unknown sub", {"op": "credit", "sub": "none", "msgs": 1}, {"unknown_sub"}),
        (96, "pause an unknown sub", {"op": "pause", "sub": "none"}, {"unknown_sub"}),
        (96, "credit -1", {"op": "subscribe", "sub": "s", "topics": ["t"], "credit": {"msgs": -1}}, {"bad_request"}),
        *[(97, f"from {begin}", {"op": "subscribe", "sub": "s", "topics": ["t"], "from": begin}, codes) for begin, codes in [
            ({"earliest": True, "latest": True}, {"bad_request"}), ({"last": -1}, {"bad_request"}), ({"last": 1.5}, {"bad_request"}),
            ({"last": 1 << 40}, {"bad_request"}), ({"offset": {"9": 0}}, {"unknown_partition"}), ({"offset": {"x": 0}}, {"bad_request"}),
            ({"offset": {"0": -1}}, {"bad_request"}), ({"offset": {}}, {"bad_request"}), ({"time": "yesterday"}, {"bad_request"}),
            ({"cursor": "garbage"}, {"bad_request"}), ({"cursor": 5}, {"bad_request"}), ({"cursor": "A" * 400_000}, {"bad_request"}),
            ({}, {"bad_request"}), ("earliest", {"bad_request"}), ({"earliest": False}, {"bad_request"})]],
        (97, "an unknown slow policy", {"op": "subscribe", "sub": "s", "topics": ["t"], "slow": {"policy": "never"}}, {"bad_request"}),
        (97, "keys that are numbers", {"op": "subscribe", "sub": "s", "topics": ["t"], "keys": [1]}, {"bad_request"}),
        (97, "snapshot of another kind", {"op": "subscribe", "sub": "s", "topics": ["t"], "snapshot": "all"}, {"bad_request"}),
        (97, "a filter", {"op": "subscribe", "sub": "s", "topics": ["t"], "filter": {"key": {"eq": "a"}}}, {"unsupported"}),
    ]
    with RawSocket(port) as raw:
        for number, (row, what, command, codes) in enumerate(wrong, 1):
            reply = raw.ask({"id": number, **command})
            holds = error_of(reply) in codes and set(reply["err"]) >= {"code", "num", "msg", "retry"} and len(json.dumps(reply)) < 1000
            table.check(row, what, holds, str(reply)[:300])
        for row, what, text, code in [
                (95, "id -1", '{"id":-1,"op":"ping"}', "bad_request"), (95, "id as text", '{"id":"a","op":"ping"}', "bad_request"),
                (95, "id 1.5", '{"id":1.5,"op":"ping"}', "bad_request")]:
            raw.say(text)
            table.check(row, what, error_of(raw.expect(lambda one: "err" in one)) == code)
        raw.say('{"id":7,"op":"produce","topic":"t","value":1}\n{"id":7,"op":"produce","topic":"t","value":2}')
        both = [raw.expect(lambda one: one.get("re") == 7 or "err" in one) for _ in range(2)]
        table.check(95, "an id that is still open", sum(error_of(one) == "bad_request" for one in both) == 1 and
                    sum("ok" in one for one in both) == 1, str(both))
        for index in range(128):
            reply = raw.ask({"id": index, "op": "subscribe", "sub": f"s{index}", "topics": ["t"], "from": {"latest": True}})
            if "ok" not in reply:
                table.check(96, f"subscription {index}", False, str(reply))
        reply = raw.ask({"id": 500, "op": "subscribe", "sub": "one too many", "topics": ["t"]})
        table.check(96, "subscription 129", error_of(reply) == "rate_limited", str(reply))
        reply = raw.ask({"id": 501, "op": "credit", "sub": "s1", "msgs": -1})
        table.check(96, "credit -1 more", error_of(reply) == "bad_request", str(reply))
        raw.say('{"id":502,"op":"credit","sub":"s1","msgs":9223372036854775808}\n{"id":503,"op":"ping"}')
        table.check(96, "credit 2^63", raw.expect(lambda one: one.get("re") == 503) is not None)
        raw.ask({"id": 504, "op": "unsubscribe", "sub": "s1"})
        reply = raw.ask({"id": 505, "op": "subscribe", "sub": "s1", "topics": ["t"], "from": {"time": "9999-01-01T00:00:00Z"}})
        cursor = reply.get("ok", {}).get("cursor")
        table.check(97, "from the year 9999", "ok" in reply and cursor is not None, str(reply))
        table.check(95, "after all of this", "ok" in raw.ask({"id": 600, "op": "ping"}))
    for what, text in [("an array", "[]"), ("a number", "5"), ("cut", '{"id":1'), ("nested without end", deep), ("one and a half", "{}]"),
                       ("a byte order mark", "\ufeff{}"), ("null", "null")]:
        with RawSocket(port) as raw:
            raw.say(text)
            first = raw.expect(lambda one: "err" in one)
            raw.say(text)
            raw.say(text)
            table.check(95, f"{what} three times", error_of(first) == "bad_request" and raw.end() == 4502,
                        f"{str(first)[:200]} {raw.close_code}")


def check_time(table, program, folder):
    """Rows 93 and 94, with deadlines that a test can wait for."""
    node = NodeProcess(program, folder, ["--set", "gateway.connect_ms_max=400", "--set", "gateway.ping_ms=400",
                                         "--set", "gateway.pong_ms_max=400", "--set", "gateway.write_stall_ms_max=1500"])
    try:
        node.start()
        node.call("POST", "/v1/topics", {"name": "t"})
        with RawSocket(node.port, connected=False) as raw:
            table.check(94, "no connect", raw.end() == 4501, str(raw.close_code))
        with RawSocket(node.port, connected=False) as raw:
            raw.send(frame(PING, "x"))
            table.check(94, "pings and no connect", raw.end() == 4501, str(raw.close_code))
        with RawSocket(node.port) as raw:
            table.check(93, "no pong", raw.end() == 4002, str(raw.close_code))
        with RawSocket(node.port) as raw:
            ended = False
            for byte in frame(TEXT, '{"id":1,"op":"ping"}' + " " * 200):
                if not raw.send(bytes([byte])) or (readable(raw.socket, 0.05) and raw.next_frame(0.1) is None and raw.closed):
                    ended = True
                    break
            table.check(93, "a frame byte by byte, pings unanswered", ended, "went on for all of it")
        check_stalled(table, node)
        table.check(93, "no error in the log", not node.error_lines(), "\n".join(node.error_lines()[:3]))
    finally:
        node.end()


def check_stalled(table, node):
    """A client that takes no byte is cut off; one that reads a little at a time is kept, and stays bounded."""
    value = "x" * 60_000
    for _ in range(40):
        node.call("POST", "/v1/topics/t/records", {"records": [{"value": value}] * 10})
    with connect(node.port, 4096) as stalled, connect(node.port, 4096) as slow:
        for connection in (stalled, slow):
            connection.sendall(request("GET", "/v1/topics/t/events?from=earliest"))
        deadline = time.monotonic() + 4
        taken = 0
        while time.monotonic() < deadline:
            if readable(slow, 0.02):
                piece = slow.recv(1500)
                taken += len(piece)
                if not piece:
                    break
        table.check(99, "an event stream that is read slowly goes on", time.monotonic() >= deadline and taken > 20_000, f"{taken} bytes")
        total, ended = 0, False
        while readable(stalled, 5):
            try:
                piece = stalled.recv(65536)
            except OSError:
                piece = b""
            total += len(piece)
            ended = not piece
            if ended:
                break
        table.check(99, "an event stream that is not read is cut", ended and total < 24 * 60_000 * 10, f"{total} bytes, ended: {ended}")


def check_never_reads(table, node):
    """Row 99: 24 MiB behind. Nobody else notices, and nothing piles up."""
    port = node.port
    node.call("POST", "/v1/topics", {"name": "wide"})
    value = "x" * 100_000
    with RawSocket(port, receive_bytes=4096) as stuck, RawSocket(port, receive_bytes=4096) as cut, RawSocket(port) as reader:
        stuck.ask({"id": 1, "op": "subscribe", "sub": "s", "topics": ["wide"]})
        cut.ask({"id": 1, "op": "subscribe", "sub": "s", "topics": ["wide"], "slow": {"policy": "disconnect", "max_lag": 20}})
        reader.ask({"id": 1, "op": "subscribe", "sub": "s", "topics": ["wide"]})
        seen = []

        def read():
            while len(seen) < 240:
                one = reader.expect(lambda one: one.get("ev") == "records")
                if one is None:
                    return
                seen.extend(record["o"] for record in one["r"])

        thread = threading.Thread(target=read)
        thread.start()
        before = None
        for index in range(24):
            node.call("POST", "/v1/topics/wide/records", {"records": [{"value": value}] * 10})
            if index == 7:
                before = node.memory_kb()
        deadline = time.monotonic() + 10
        while b"troupe_ws_slow_disconnects_total 1" not in ask(port, "GET", "/metrics").body and time.monotonic() < deadline:
            pass
        code = cut.end()
        thread.join(30)
        table.check(99, "another reader gets all of it", seen == list(range(240)), f"{len(seen)} records")
        table.check(99, "memory", node.memory_kb() - before < 24 * 1024, f"{before} KiB before, {node.memory_kb()} KiB after")
        table.check(99, "disconnect closes with 4001", code == 4001, str(code))
        offsets = []
        while len(offsets) < 240:
            one = stuck.expect(lambda one: one.get("ev") == "records")
            if one is None:
                break
            offsets += [record["o"] for record in one["r"]]
        table.check(99, "block: all of it is there once the client reads", offsets == list(range(240)), f"{len(offsets)} records")


def first_events(port, path, headers=(), within_s=5, bytes_min=200):
    """(the answer's head, what of its body came within the time or until there is enough)."""
    with connect(port) as connection:
        connection.sendall(request("GET", path, ["Accept: text/event-stream", *headers]))
        data, deadline = b"", time.monotonic() + within_s
        while time.monotonic() < deadline and readable(connection, max(0, deadline - time.monotonic())):
            piece = connection.recv(65536)
            data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            if not piece or (len(body) > bytes_min and body.endswith(b"\n\r\n")):
                break
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def check_events(table, node):
    port = node.port
    node.call("POST", "/v1/topics", {"name": "sse"})
    node.call("POST", "/v1/topics", {"name": "elsewhere"})
    hostile = "x\n\nevent: pwn\ndata: y\r\rid: 5"
    key = "</script><img src=x onerror=alert(1)>"
    node.call("POST", "/v1/topics/sse/records", {"records": [{"key": key, "value": hostile, "headers": {"a\nb": "c\rd"}}]})
    node.call("POST", "/v1/topics/sse/records", {"records": [{"key": "k", "value": "done"}]})
    head, body = first_events(port, "/v1/topics/sse/events?from=earliest", bytes_min=450)
    lines = [line for line in body.replace(b"\r\n", b"\n").split(b"\n") if b":" in line]
    names = {line.split(b":")[0] for line in lines}
    data = [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]
    table.check(103, "a value that imitates an event is one data line", b" 200 " in head and bool(data) and data[0].get("v") == hostile and
                data[0].get("k") == key and names <= {b"data", b"id", b"retry", b""} and b"\r" not in body.replace(b"\r\n", b""),
                f"{body[:400]!r}")
    table.check(103, "the answer cannot be taken for a page", b"text/event-stream" in head and b"nosniff" in head, str(head))
    page = ask(port, "GET", "/v1/topics/sse/records?from=earliest")
    table.check(103, "nor can a page of records", page.field("content-type").startswith("application/json") and
                page.field("x-content-type-options") == "nosniff", str(page.fields))
    for what, headers, statuses in [
            ("1 MiB", ["Last-Event-ID: " + "A" * MIB], {400, 431}), ("4 KiB", ["Last-Event-ID: " + "A" * 4096], {400}),
            ("a zero byte", ["Last-Event-ID: a\0b"], {400}), ("a line end", ["Last-Event-ID: a\nb"], {400}),
            ("garbage", ["Last-Event-ID: garbage"], {400}), ("no UTF-8", ["Last-Event-ID: \xff"], {400})]:
        talk = converse(port, [request("GET", "/v1/topics/sse/events", ["Accept: text/event-stream", *headers])], within_s=5)
        table.check(102, what, len(talk.answers) == 1 and talk.statuses[0] in statuses and talk.closed, str(talk)[:300])
    other = ask(port, "GET", "/v1/topics/elsewhere/records?from=earliest").json()["cursor"]
    head, body = first_events(port, "/v1/topics/sse/events", [f"Last-Event-ID: {other}"], bytes_min=60)
    table.check(102, "a cursor of another topic", b" 400 " in head or b"event: reset" in body, f"{head!r} {body[:200]!r}")
    for what, path, status in [("an unknown parameter", "?form=earliest", 400), ("from nowhere", "?from=nowhere", 400),
                               ("slow=never", "?slow=never", 400),
                               ("a partition that is not there", "?from=offset:9:0", 404), ("last:-1", "?from=last:-1", 400)]:
        talk = converse(port, [request("GET", "/v1/topics/sse/events" + path, ["Accept: text/event-stream"])], within_s=3)
        table.check(97, f"events {what}", talk.statuses == [status], str(talk)[:300])
    talk = converse(port, [request("GET", "/v1/topics/sse/events", ["Accept: image/png"])], probe_after=1, within_s=3)
    table.check(78, "events as image/png", talk.statuses[:1] == [406], str(talk)[:300])
    talk = converse(port, [request("POST", "/v1/topics/sse/events")], probe_after=1)
    table.check(82, "events by POST", talk.statuses[:1] == [405], str(talk)[:300])


def check_half_close(table, node):
    """Row 101: a client that says a last thing and then nothing more."""
    node.call("POST", "/v1/topics", {"name": "half"})
    acknowledged = []
    for number in range(30):
        with RawSocket(node.port) as raw:
            raw.say({"id": 1, "op": "produce", "topic": "half", "value": number})
            raw.socket.shutdown(socket.SHUT_WR)
            ended = raw.end(within_s=5)
            table.check(101, "the session is closed", ended != "open", str(ended))
            if any(json.loads(line).get("re") == 1 and "ok" in json.loads(line) for line in raw.lines):
                acknowledged.append(number)
    node.wait_for(lambda: "troupe_ws_clients 0" in node.get("/metrics")[1].decode().replace(".0", ""), seconds=5)
    values = [record["v"] for records in node.read_all("half").values() for record in records]
    table.check(101, "applied or not, never twice", len(values) == len(set(values)), str(values))
    table.check(101, "what was acknowledged is there", set(acknowledged) <= set(values), f"{acknowledged} {values}")


def check_fresh_topics(table, node):
    """A subscriber of a topic that nobody has written to yet gets the first record at once, and not when something else wakes it."""
    port = node.port
    with RawSocket(port) as writer:
        for index in range(60):
            topic = f"fresh{index}"
            node.call("POST", "/v1/topics", {"name": topic})
            produces = [{"id": number, "op": "produce", "topic": topic, "value": number} for number in range(1, 51)]
            if index % 2:
                with RawSocket(port) as reader:
                    reader.ask({"id": 1, "op": "subscribe", "sub": "s", "topics": [topic], "from": {"earliest": True}})
                    writer.say(*produces)
                    first = reader.expect(lambda one: one.get("ev") == "records", within_s=2)
                    table.check("fresh", "WebSocket", bool(first) and first["r"][0]["v"] == 1, f"topic {index}: {first}")
            else:
                with connect(port) as events:
                    events.sendall(request("GET", f"/v1/topics/{topic}/events?from=earliest", ["Accept: text/event-stream"]))
                    data, deadline = events.recv(65536), time.monotonic() + 2
                    writer.say(*produces)
                    while b"data: " not in data and readable(events, max(0, deadline - time.monotonic())):
                        data += events.recv(65536)
                    table.check("fresh", "events", b"data: " in data, f"topic {index}: {data!r}")
            for number in range(1, 51):
                assert writer.expect(lambda one, number=number: one.get("re") == number), "no acknowledgement"


def main():
    table = Table("streams input")
    with fresh_folder() as folder, fresh_folder() as other:
        node = NodeProcess(sys.argv[1], folder)
        try:
            node.start()
            node.call("POST", "/v1/topics", {"name": "t"})
            for check in (lambda: check_handshakes(table, node.port), lambda: check_frames(table, node.port),
                          lambda: check_floods(table, node),
                          lambda: check_commands(table, node.port), lambda: check_events(table, node),
                          lambda: check_half_close(table, node), lambda: check_fresh_topics(table, node),
                          lambda: check_never_reads(table, node),
                          lambda: check_time(table, sys.argv[1], other)):
                table.guard("all", "a group of checks", check)
            written = sum(map(len, node.read_all("t").values()))
            table.check("all", "only what was acknowledged was written", written == 1, f"{written} records")
            served = ask(node.port, "GET", "/livez").status
            table.check("all", "the node answers", served == 200, str(served))
            table.check("all", "no error in the log", not node.error_lines(), "\n".join(node.error_lines()[:3]))
            code, seconds = node.stop()
            table.check("all", "the node stops as ever", code == 0 and seconds < 2, f"{code} after {seconds:.2f} s")
        finally:
            node.end()
    return table.totals()


sys.exit(main())
