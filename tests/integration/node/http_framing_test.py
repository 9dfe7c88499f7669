#!/usr/bin/env python3
"""HTTP that is not HTTP, or two things at once: reliability.md 4.4, rows 1 to 49, over raw sockets.

    http_framing_test.py PROGRAM        environment: TROUPE_SEED

Each input is sent in one piece, byte by byte, cut anywhere, and behind a good request on the same connection. A refusal is one
answer, `Connection: close`, the end of the connection, and nothing read of what follows.
"""

import os
import sys
import zlib

from node_process import NodeProcess, fresh_folder
from wire import HOST, Table, ask, connect, converse, in_pieces, readable, request, seeded

H = HOST
J = b"Content-Type: application/vnd.kafka.json.v2+json\r\n"
P = b"POST /topics/t HTTP/1.1\r\n" + H + J
GOOD = b"GET /livez HTTP/1.1\r\n" + H + b"\r\n"
SMUGGLED = b"GET /topics HTTP/1.1\r\n" + H + b"\r\n"
CHUNKED = P + b"Transfer-Encoding: chunked\r\n\r\n"
MIB = 1 << 20
JSON_TYPES = ("application/json", "application/vnd.kafka.v2+json")

# (row, what, bytes, statuses that are right). All of them end the connection.
REFUSED = [
    (1, "no Host", b"GET / HTTP/1.1\r\n\r\n", {400}),
    (2, "two Hosts", b"GET / HTTP/1.1\r\n" + H + H + b"\r\n", {400}),
    (2, "two different Hosts", b"GET / HTTP/1.1\r\n" + H + b"Host: evil.example\r\n\r\n", {400}),
    (3, "a foreign Host", b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", {421}),
    (3, "our name in front of a foreign one", b"GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", {421}),
    (3, "a Host with user and password", b"GET / HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n", {400, 421}),
    (3, "an empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", {400, 421}),
    (3, "a Host with a port that is none", b"GET / HTTP/1.1\r\nHost: localhost:99999\r\n\r\n", {400}),
    (4, "length, then chunked", P + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX" + SMUGGLED, {400}),
    (5, "chunked, then length", P + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nX" + SMUGGLED, {400}),
    (6, "gzip and a length", P + b"Transfer-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc" + SMUGGLED, {400}),
    (7, "xchunked", P + b"Transfer-Encoding: xchunked\r\n\r\n" + SMUGGLED, {501}),
    (8, "chunked, identity", P + b"Transfer-Encoding: chunked, identity\r\n\r\n" + SMUGGLED, {400}),
    (9, "identity, chunked", P + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", {400}),
    *[(10, f"Transfer-Encoding: {value}", P + f"Transfer-Encoding: {value}\r\n\r\n".encode() + SMUGGLED, {400})
      for value in ("chunked, chunked", '"chunked"', ", chunked", "chunked;q=1", "chunked,", "")],
    (11, "two lines", P + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    (12, "a vertical tab", P + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", {400}),
    (13, "HTTP/1.0", b"POST /topics/t HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    (14, "twice the same length", P + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", {400}),
    (15, "a list", P + b"Content-Length: 5, 5\r\n\r\nhello", {400}),
    (16, "two lengths", P + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + SMUGGLED, {400}),
    *[(17, f"Content-Length: {value!r}", P + f"Content-Length: {value}\r\n\r\nhello".encode() + SMUGGLED, {400})
      for value in ("+5", "-1", "0x5", "", "18446744073709551616", "5 5", "٥", "5;")],
    (18, "a length of 2^64 - 1", P + b"Content-Length: 18446744073709551615\r\n\r\n", {413}),
    (19, "space before the colon", P + b"Content-Length : 5\r\n\r\nhello", {400}),
    (20, "a folded line", b"GET / HTTP/1.1\r\n" + H + b"X-A: b\r\n c\r\n\r\n", {400}),
    (20, "a folded first field", b"GET / HTTP/1.1\r\n " + H + b"\r\n", {400}),
    (21, "bare LF", b"GET / HTTP/1.1\n" + H.replace(b"\r", b"") + b"\n", {400}),
    (21, "bare LF at the end", b"GET / HTTP/1.1\r\n" + H + b"\n", {400}),
    *[(22, f"{line!r}", b"GET / HTTP/1.1\r\n" + H + line + b"\r\n\r\n", {400})
      for line in (b"X: a\rb", b"X: a\0b", b"X\xff: y", b": x", b"garbage", b"X Y: z", b"X: a\x7fb", b"X\0: y")],
    *[(23, f"{line!r}", line + b" HTTP/1.1\r\n" + H + b"\r\n", {400})
      for line in (b"GET /a\0b", b"GET /\x7f", b"GET  /", b"GET\t/", b"GET / /", b"GET /\x01", b"GET /\x0b")],
    (24, "raw UTF-8", b"GET /\xc3\xa9 HTTP/1.1\r\n" + H + b"\r\n", {400}),
    (25, "a target without a slash", b"GET foo HTTP/1.1\r\n" + H + b"\r\n", {400}),
    (25, "* that is not of OPTIONS", b"GET * HTTP/1.1\r\n" + H + b"\r\n", {400}),
    (26, "a foreign absolute target", b"GET http://evil/ HTTP/1.1\r\n" + H + b"\r\n", {421}),
    (26, "ours, and a foreign Host", b"GET http://localhost/ HTTP/1.1\r\nHost: evil\r\n\r\n", {421}),
    (26, "another scheme", b"GET ftp://localhost/ HTTP/1.1\r\n" + H + b"\r\n", {400}),
    (27, "get", b"get / HTTP/1.1\r\n" + H + b"\r\n", {501}),
    (27, "FOO", b"FOO / HTTP/1.1\r\n" + H + b"\r\n", {501}),
    (28, "CONNECT", b"CONNECT x:1 HTTP/1.1\r\n" + H + b"\r\n", {405, 501}),
    (28, "TRACE", b"TRACE / HTTP/1.1\r\n" + H + b"X-Secret: echo\r\n\r\n", {405, 501}),
    (29, "HTTP/1.2", b"GET / HTTP/1.2\r\n" + H + b"\r\n", {505}),
    (29, "HTTP/2.0", b"GET / HTTP/2.0\r\n" + H + b"\r\n", {505}),
    (29, "HTTP/0.9", b"GET /\r\n", {400}),
    (29, "http/1.1", b"GET / http/1.1\r\n" + H + b"\r\n", {400}),
    (29, "HTTP/1.10", b"GET / HTTP/1.10\r\n" + H + b"\r\n", {400, 505}),
    (30, "HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\x12\x04\0\0\0\0\0", {505}),
    (32, "two empty lines", b"\r\n\r\n" + GOOD, {400}),
    (33, "a field of 9,000 bytes", b"GET / HTTP/1.1\r\n" + H + b"X: " + b"y" * 9000 + b"\r\n\r\n", {431}),
    (33, "a name of 9,000 bytes", b"GET / HTTP/1.1\r\n" + H + b"x" * 9000 + b": y\r\n\r\n", {431}),
    (33, "a target of 9,000 bytes", b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + H + b"\r\n", {414}),
    (34, "1,500 fields", b"GET / HTTP/1.1\r\n" + H + b"a:b\r\n" * 1500 + b"\r\n", {431}),
    (34, "20 KiB in few fields", b"GET / HTTP/1.1\r\n" + H + (b"a: " + b"b" * 2000 + b"\r\n") * 10 + b"\r\n", {431}),
    (37, "a length among the trailers", CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n" + SMUGGLED, {400}),
    (37, "Transfer-Encoding among the trailers", CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED, {400}),
    *[(38, f"chunk size {size!r}", CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED, {400})
      for size in (b"FFFFFFFFFFFFFFFFF", b"-1", b"0x5", b" 5", b"5 ", b"+5", b"", b"5g", b"\t5", b"5\t", b"05;\x01")],
    (38, "a chunk of 2^64 - 1", CHUNKED + b"FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n", {413}),
    (38, "a chunk beyond the body's limit", CHUNKED + b"900000\r\nhello", {413}),
    (39, "a chunk that is longer than it says", CHUNKED + b"5\r\nhelloXX0\r\n\r\n", {400}),
    (39, "bare LF between chunks", CHUNKED + b"5\nhello\n0\n\n", {400}),
    (40, "bare LF in a chunk extension", CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n" + SMUGGLED, {400}),
    (40, "bare CR in a chunk extension", CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n" + SMUGGLED, {400}),
    (41, "9,000,000 bytes and none there", P + b"Content-Length: 9000000\r\n\r\n", {413}),
    (42, "the same with Expect", P + b"Expect: 100-continue\r\nContent-Length: 9000000\r\n\r\n", {413}),
    (43, "Expect: 200-maybe", P + b"Expect: 200-maybe\r\nContent-Length: 5\r\n\r\n", {417}),
    (43, "two Expects", P + b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", {417}),
]


def check_refused(table, port, randomness):
    for row, what, data, statuses in REFUSED:
        for split in ("whole", "bytes", "random", "second"):
            first = [200] if split == "second" else []
            pieces = [GOOD + data] if split == "second" else in_pieces(data, split, randomness)
            talk = converse(port, pieces)
            holds = talk.closed and not talk.rest and len(talk.answers) == len(first) + 1
            if holds:
                last = talk.answers[-1]
                holds = (last.status in statuses and talk.statuses[:-1] == first and last.field("connection") == "close" and
                         last.json()["error_code"] == last.status and len(last.message()) > 10 and
                         last.field("content-type").split(";")[0] in JSON_TYPES and talk.seconds < 5 and
                         b"echo" not in last.body)
            table.check(row, f"{what} ({split})", holds, str(talk))
    talk = converse(port, [b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"])
    table.check(3, "the names that are allowed are told", "localhost" in talk.answers[0].message() and
                "evil" not in talk.answers[0].message(), str(talk))


def check_accepted(table, port, randomness):
    """What looks odd and is right: one answer, and the connection goes on."""
    accepted = [
        (3, "localhost without a port", b"GET /livez HTTP/1.1\r\nHost: LOCALHOST\r\n\r\n", [200]),
        (3, "IPv6 loopback", b"GET /livez HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", [200]),
        (7, "Chunked in capitals", P + b"Transfer-Encoding: CHUNKED\r\n\r\n2\r\n{}\r\n0\r\n\r\n", [422]),
        (26, "an absolute target that names us", b"GET http://localhost:8080/livez HTTP/1.1\r\n" + H + b"\r\n", [200]),
        (32, "one empty line", b"\r\n" + GOOD, [200]),
        (35, "a chunk extension of 100 bytes", CHUNKED + b"2;" + b"x" * 100 + b"\r\n{}\r\n0\r\n\r\n", [422]),
        (36, "trailers", CHUNKED + b"2\r\n{}\r\n0\r\nX-A: b\r\nX-B: c\r\n\r\n", [422]),
        (42, "Expect and a small body", P + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", [100, 422]),
        (44, "two requests at once", GOOD + GOOD, [200, 200]),
    ]
    for row, what, data, statuses in accepted:
        for split in ("whole", "bytes", "random"):
            pieces = in_pieces(data, split, randomness)
            if 100 in statuses:
                if split != "whole":
                    continue
                check_continue(table, row, what, port, data)
                continue
            talk = converse(port, pieces, probe_after=len(statuses))
            table.check(row, f"{what} ({split})", talk.statuses == statuses + [200] and talk.closed, str(talk))


def check_continue(table, row, what, port, data):
    with connect(port) as connection:
        connection.sendall(data)
        first = connection.recv(4096)
        connection.sendall(b"{}")
        then = connection.recv(4096)
    table.check(row, what, first == b"HTTP/1.1 100 Continue\r\n\r\n" and then.startswith(b"HTTP/1.1 422 "), f"{first!r} {then!r}")


def check_floods(table, node):
    """Bytes without an end: refused early, and never held."""
    before = node.memory_kb()

    def flood(row, what, head, piece, count, statuses):
        talk = converse(node.port, [head, *[piece] * count])
        table.check(row, what, talk.statuses == [*statuses] and talk.closed and talk.answers[0].field("connection") == "close",
                    str(talk))

    flood(35, "60 MiB of chunk extension", CHUNKED + b"5;", b"x" * MIB, 60, [400])
    flood(36, "20,900 trailers", CHUNKED + b"0\r\n", (b"X: " + b"y" * 1000 + b"\r\n") * 209, 100, [400])
    flood(34, "headers without an end", b"GET / HTTP/1.1\r\n" + H, b"a: b\r\n" * 10_000, 1000, [431])
    flood(33, "a target without an end", b"GET /", b"x" * MIB, 60, [414])
    flood(18, "a body longer than its limit", P + b"Content-Length: 18446744073709551615\r\n\r\n", b"x" * MIB, 30, [413])
    flood(38, "chunks beyond the body's limit", CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n", 300, [413])
    table.check(35, "memory", node.memory_kb() - before < 24 * 1024, f"{before} KiB before, {node.memory_kb()} KiB after")


def check_pipeline(table, port):
    """Row 44: the answers come in the order of the requests, whatever each takes."""
    kinds = [("/livez", 200), ("/nothing", 404), ("/v1/topics/t", 200), ("/v1/topics/none", 404), ("/v1/topics/t/records?limit=0", 400)]
    chosen = [kinds[(i * i + i // 3) % len(kinds)] for i in range(40)]
    data = b"".join(request("GET", path) for path, _ in chosen)
    talk = converse(port, [data], probe_after=40)
    table.check(44, "40 requests in one segment", talk.statuses == [status for _, status in chosen] + [200], str(talk.statuses))
    slow = request("GET", "/v1/topics/t/records?from=latest&wait=300") + data
    talk = converse(port, [slow], probe_after=41)
    table.check(44, "behind a long poll", talk.statuses == [200] + [status for _, status in chosen] + [200], str(talk.statuses))
    mixed = b"".join(GOOD if i % 2 else P + b"Content-Length: 2\r\n\r\n{}" for i in range(40))
    talk = converse(port, [mixed], probe_after=40)
    table.check(44, "with bodies between them", talk.statuses == [422, 200] * 20 + [200], str(talk.statuses))


def check_cut(table, port):
    body = b'{"records":[{"value":1}]}'
    for row, what, data in [
            (45, "half a body", P + b"Content-Length: %d\r\n\r\n" % len(body) + body[:12]),
            (45, "half a chunk", CHUNKED + b"19\r\n" + body[:12]),
            (45, "a chunked body without its last chunk", CHUNKED + b"19\r\n" + body + b"\r\n"),
            (45, "half a header", P[:40]),
            (45, "nothing", b"")]:
        talk = converse(port, [data], finish=True)
        table.check(row, what, talk.closed and not talk.answers, str(talk))
    talk = converse(port, [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)])
    table.check(31, "a TLS hello", talk.closed and not talk.answers and not talk.rest and talk.seconds < 2, str(talk))


def bomb(size):
    """About `size` bytes of gzip that unpack to a thousand times as much."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block * (size // len(block))


def gzip_of(text):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(text) + packer.flush()


def check_coding(table, node):
    good = gzip_of(b'{"records":[]}')
    large = bomb(MIB)
    before = node.memory_kb()
    for what, coding, body, status in [
            ("a bomb", "gzip", large, 413),
            ("a bomb in zlib's clothes", "deflate", b"\x78\xda" + large[10:], 413),
            ("cut", "gzip", good[:-6], 400),
            ("a wrong checksum", "gzip", good[:-8] + bytes([good[-8] ^ 1]) + good[-7:], 400),
            ("followed by something", "gzip", good + b"x", 400),
            ("no gzip at all", "gzip", b'{"records":[]}', 400),
            ("gzip, gzip", "gzip, gzip", good, 415),
            ("br", "br", good, 415),
            ("zstd", "zstd", good, 415),
            ("an empty name", "", good, 415),
            ("right", "gzip", good, 422),
            ("right, in capitals", "GZIP", good, 422)]:
        talk = converse(node.port, [P + f"Content-Encoding: {coding}\r\n".encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body],
                        probe_after=1)
        table.check(48, what, talk.statuses[:1] == [status] and talk.closed and len(talk.answers) <= 2, str(talk))
    two = P + b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(good) + good
    talk = converse(node.port, [two], probe_after=1)
    table.check(48, "two fields", talk.statuses[:1] == [415], str(talk))
    for _ in range(20):
        converse(node.port, [P + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % MIB + large[:MIB].ljust(MIB, b"\0")],
                 probe_after=1)
    table.check(48, "memory", node.memory_kb() - before < 40 * 1024, f"{before} KiB before, {node.memory_kb()} KiB after")


def check_ranges(table, port):
    whole = ask(port, "GET", "/troupe.js")
    many = ask(port, "GET", "/troupe.js", ["Range: bytes=" + ",".join(["0-0"] * 1000)])
    table.check(49, "1,000 ranges", whole.status == 200 and len(whole.body) > 1000 and
                (many.status == 416 or (many.status == 200 and many.body == whole.body)), f"{whole.status} {many.status}")


def check_slow(table, program, folder):
    """Rows 46 and 47, with deadlines that a test can wait for."""
    node = NodeProcess(program, folder, ["--set", "gateway.first_byte_ms_max=600", "--set", "gateway.headers_ms_max=600",
                                         "--set", "gateway.body_grace_ms=600", "--set", "gateway.keep_alive_ms_max=600"])
    try:
        node.start()
        node.call("POST", "/v1/topics", {"name": "t"})
        slow_header = [bytes([byte]) for byte in b"GET / HTTP/1.1\r\n" + H + b"X: " + b"y" * 500]
        talk = converse(node.port, slow_header, pace_s=0.05)
        table.check(46, "a header byte by byte", talk.statuses == [408] and talk.closed and 0.5 < talk.seconds < 4, str(talk))
        slow_body = [P + b"Content-Length: 5000\r\n\r\n", *[b"x"] * 500]
        talk = converse(node.port, slow_body, pace_s=0.05)
        table.check(47, "a body byte by byte", talk.statuses == [408] and talk.closed and 0.5 < talk.seconds < 4, str(talk))
        talk = converse(node.port, [CHUNKED, *[b"1\r\n \r\n"] * 500], pace_s=0.05)
        table.check(47, "chunks of one byte", talk.statuses == [408] and talk.closed and 0.5 < talk.seconds < 4, str(talk))
        talk = converse(node.port, [])
        table.check(46, "nothing at all", not talk.answers and talk.closed and 0.5 < talk.seconds < 4, str(talk))
        talk = converse(node.port, [GOOD])
        table.check(46, "nothing behind a request", talk.statuses == [200] and talk.closed and 0.5 < talk.seconds < 4, str(talk))
        check_many_slow(table, node)
        table.check(47, "nothing was written", node.read_all("t") == {}, "records are there")
        table.check(46, "no error in the log", not node.error_lines(), "\n".join(node.error_lines()[:3]))
    finally:
        node.end()


def check_many_slow(table, node):
    """500 that never finish: gone at the deadline, and nobody else is kept waiting."""
    crowd = [connect(node.port) for _ in range(500)]
    try:
        for index, connection in enumerate(crowd):
            connection.sendall(b"GET / HTTP/1.1\r\nX:" if index % 2 else P + b"Content-Length: 500\r\n\r\nx")
        served = ask(node.port, "GET", "/livez").status
        gone = sum(readable(connection, 5) and connection.recv(64).startswith(b"HTTP/1.1 408") for connection in crowd)
        table.check(46, "500 slow ones at once", served == 200 and gone == len(crowd), f"{served}, {gone} told 408")
    finally:
        for connection in crowd:
            connection.close()


def main():
    randomness = seeded(int(os.environ.get("TROUPE_SEED", "0")))
    table = Table("http framing")
    with fresh_folder() as folder, fresh_folder() as other:
        node = NodeProcess(sys.argv[1], folder)
        try:
            node.start()
            node.call("POST", "/v1/topics", {"name": "t"})
            check_refused(table, node.port, randomness)
            check_accepted(table, node.port, randomness)
            check_floods(table, node)
            check_pipeline(table, node.port)
            check_cut(table, node.port)
            check_coding(table, node)
            check_ranges(table, node.port)
            check_slow(table, sys.argv[1], other)
            table.check(45, "nothing was written", node.read_all("t") == {}, "records are there")
            tls = [line for line in node.log_lines() if "TLS" in line]
            table.check(31, "TLS on a plain port is told once", len(tls) == 1, f"{len(tls)} lines")
            table.check(45, "no error in the log", not node.error_lines(), "\n".join(node.error_lines()[:3]))
            table.check(45, "few lines for much bad input", len(node.log_lines()) < 200, f"{len(node.log_lines())} lines")
            code, seconds = node.stop()
            table.check(45, "the node stops as ever", code == 0 and seconds < 2, f"{code} after {seconds:.2f} s")
        finally:
            node.end()
    return table.totals()


sys.exit(main())
