"""What the tests of wrong input share: bytes over a socket, the answers that come back, and a table that counts.

Nothing here corrects what it sends, and nothing is believed that the server did not say.
"""

import dataclasses
import json
import random
import select
import socket
import time

ANSWER_S_MAX = 10
HOST = b"Host: localhost:8080\r\n"


@dataclasses.dataclass
class Answer:
    status: int
    fields: dict
    body: bytes

    def field(self, name):
        return ", ".join(self.fields.get(name.lower(), []))

    def json(self):
        return json.loads(self.body)

    def message(self):
        """The sentence of an error, or nothing."""
        try:
            return str(json.loads(self.body)["message"])
        except (ValueError, KeyError, TypeError):
            return ""


@dataclasses.dataclass
class Conversation:
    answers: list
    closed: bool      # the server ended it
    rest: bytes       # what came and is no whole answer
    seconds: float

    @property
    def statuses(self):
        return [answer.status for answer in self.answers]

    def __str__(self):
        told = " ".join(f"{answer.status} {answer.body[:160]!r}" for answer in self.answers) or "no answer"
        end = "closed" if self.closed else "left open"
        return f"{told}, {end}" + (f", then {self.rest[:80]!r}" if self.rest else "") + f", {self.seconds:.2f} s"


def parse_answers(data, heads=()):
    """(answers, rest): `heads` are the numbers of answers without a body, those to HEAD."""
    answers = []
    while True:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return answers, data
        first, *lines = data[:end].split(b"\r\n")
        fields = {}
        for line in lines:
            name, _, value = line.partition(b":")
            fields.setdefault(name.decode("latin-1").lower(), []).append(value.strip().decode("latin-1"))
        status = int(first.split(b" ")[1])
        start = end + 4
        if "chunked" in fields.get("transfer-encoding", []):
            answers.append(Answer(status, fields, data[start:]))
            return answers, b""
        length = int(fields.get("content-length", ["0"])[0])
        if status < 200 or status in (204, 304) or len(answers) in heads:
            length = 0
        if len(data) < start + length:
            return answers, data
        answers.append(Answer(status, fields, data[start:start + length]))
        data = data[start + length:]


def in_pieces(data, split, randomness):
    """`data` as one piece, byte by byte, or cut anywhere."""
    if split == "whole":
        return [data]
    if split == "bytes" and len(data) <= 4096:
        return [data[i:i + 1] for i in range(len(data))]
    pieces = []
    while data:
        size = randomness.randint(1, max(1, min(len(data), 1 + len(data) // 4)))
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def connect(port, receive_bytes=None):
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(ANSWER_S_MAX)
    connection.connect(("127.0.0.1", port))
    return connection


def readable(connection, seconds):
    return bool(select.select([connection], [], [], seconds)[0])


def converse(port, pieces, finish=False, probe_after=None, within_s=ANSWER_S_MAX, pace_s=0.0, heads=()):
    """Sends the pieces until they are out or the server speaks, then reads until it closes or time is up.

    finish: FIN behind the last piece. pace_s: so long between two pieces, unless the server speaks.
    probe_after: so many answers are expected on a connection that stays open; a last request proves that it did.
    """
    began = time.monotonic()
    deadline = began + within_s
    data, closed, probed = b"", False, False
    with connect(port) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                if readable(connection, pace_s):
                    # An early answer: what is left is sent all the same, as a client that does not listen would.
                    if pace_s or len(piece) > 4096:
                        break
            if finish:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        answers = []
        while time.monotonic() < deadline:
            if probe_after is not None and not probed and len(answers) >= probe_after:
                probed = True
                try:
                    connection.sendall(b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
                except OSError:
                    pass
            if not readable(connection, max(0.0, deadline - time.monotonic())):
                break
            try:
                piece = connection.recv(65536)
            except OSError:
                closed = True
                break
            if not piece:
                closed = True
                break
            data += piece
            answers, rest = parse_answers(data, heads)
    answers, rest = parse_answers(data, heads)
    return Conversation(answers, closed, rest, time.monotonic() - began)


def request(method, path, headers=(), body=None, host=HOST):
    """A request as it should be, with whatever fields and body it is given."""
    lines = [f"{method} {path} HTTP/1.1\r\n".encode("latin-1", "replace") if isinstance(path, str)
             else method.encode() + b" " + path + b" HTTP/1.1\r\n", host]
    lines += [header.encode("latin-1") + b"\r\n" for header in headers]
    if isinstance(body, str):
        body = body.encode()
    if body is not None:
        lines.append(b"Content-Length: %d\r\n" % len(body))
    return b"".join(lines) + b"\r\n" + (body or b"")


def ask(port, method, path, headers=(), body=None, within_s=ANSWER_S_MAX):
    """The one answer to one request on a connection of its own."""
    talk = converse(port, [request(method, path, [*headers, "Connection: close"], body)], within_s=within_s,
                    heads=(0,) if method == "HEAD" else ())
    if len(talk.answers) != 1:
        return Answer(0, {}, str(talk).encode())
    return talk.answers[0]


class Table:
    """Rows, and how many of them hold. A row that is known not to hold stands in docs/roadmap.md, too."""

    def __init__(self, name, known=None):
        self.name = name
        self.known = dict(known or {})
        self.counted = {}   # row -> [held, failed]
        self.found_known = set()

    def check(self, row, what, holds, detail=""):
        held, failed = self.counted.setdefault(row, [0, 0])
        reason = self.known.get((row, what))
        if not holds and reason:
            if (row, what) not in self.found_known:
                print(f"row {row}: {what}: known: {reason}: {detail}", flush=True)
            self.found_known.add((row, what))
            return
        if not holds:
            print(f"row {row}: {what}: FAILED: {detail}", flush=True)
        self.counted[row] = [held + bool(holds), failed + (not holds)]

    def guard(self, row, what, work):
        """A check that may throw: that is a failure of its row, not the end of the table."""
        try:
            work()
        except Exception as failure:  # the row tells which
            self.check(row, what, False, f"{type(failure).__name__}: {failure}")

    def totals(self):
        for row, what in sorted(set(self.known) - self.found_known, key=str):
            self.check(row, what, False, "is marked as known, and holds: take the mark away")
        held = sum(one[0] for one in self.counted.values())
        failed = sum(one[1] for one in self.counted.values())
        print(f"{self.name}: {len(self.counted)} rows, {held} checks hold, {failed} failed, {len(self.found_known)} known")
        return 1 if failed else 0


def seeded(seed=None):
    """A source of cuts, and the line that repeats them."""
    seed = seed or time.time_ns() % 1_000_000
    print(f"reproduce: TROUPE_SEED={seed}", flush=True)
    return random.Random(seed)
