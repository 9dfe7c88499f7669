"""A WebSocket by hand: every frame is what the test says it is, right or wrong (RFC 6455)."""

import base64
import json
import os
import struct
import time

from wire import ANSWER_S_MAX, HOST, connect, parse_answers, readable

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


def upgrade(path="/v1/ws", key=None, version="13", extra=(), host=HOST, method="GET", protocol="HTTP/1.1",
            fields=("Upgrade: websocket", "Connection: Upgrade")):
    key = base64.b64encode(os.urandom(16)).decode() if key is None else key
    lines = [*fields, *([f"Sec-WebSocket-Key: {key}"] if key is not False else []), f"Sec-WebSocket-Version: {version}", *extra]
    return f"{method} {path} {protocol}\r\n".encode() + host + "".join(line + "\r\n" for line in lines).encode() + b"\r\n"


def frame(opcode, payload=b"", fin=True, masked=True, reserved=0, length=None, width=None):
    """length: what the frame says, whatever it holds. width: 7, 16 or 64 bits for it."""
    if isinstance(payload, str):
        payload = payload.encode()
    said = len(payload) if length is None else length
    width = width or (7 if said < 126 else 16 if said < 65536 else 64)
    mask_bit = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    head += {7: lambda: bytes([mask_bit | said]), 16: lambda: bytes([mask_bit | 126]) + struct.pack(">H", said),
             64: lambda: bytes([mask_bit | 127]) + struct.pack(">Q", said)}[width]()
    # The mask is zero: the payload is what it looks like.
    return head + (bytes(4) if masked else b"") + payload


def close_frame(code=None, reason=b""):
    return frame(CLOSE, (struct.pack(">H", code) if code is not None else b"") + reason)


class RawSocket:
    """One connection after its handshake. What the server sends is read frame by frame."""

    def __init__(self, port, path="/v1/ws", connected=True, receive_bytes=None, extra=()):
        self.socket = connect(port, receive_bytes)
        self.data = b""
        self.closed = False
        self.close_code = None
        self.lines = []
        self.socket.sendall(upgrade(path, extra=extra))
        while b"\r\n\r\n" not in self.data:
            piece = self.socket.recv(4096)
            if not piece:
                break
            self.data += piece
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        self.answer = parse_answers(head + b"\r\n\r\n")[0][0]
        if self.answer.status != 101:
            raise AssertionError(f"no upgrade: {self.answer}")
        if connected:
            self.say({"id": 1_000_000, "op": "connect"})
            reply = self.expect(lambda one: one.get("re") == 1_000_000)
            assert reply and "ok" in reply, reply

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """False when the server has gone."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def say(self, *commands):
        self.send(frame(TEXT, "\n".join(one if isinstance(one, str) else json.dumps(one) for one in commands)))

    def next_frame(self, within_s=ANSWER_S_MAX):
        """(opcode, payload), or nothing when the server ended the connection or time is up."""
        deadline = time.monotonic() + within_s
        while True:
            found = self._take_frame()
            if found:
                return found
            left = deadline - time.monotonic()
            if self.closed or left <= 0 or not readable(self.socket, left):
                return None
            try:
                piece = self.socket.recv(262_144)
            except OSError:
                piece = b""
            self.closed = not piece
            self.data += piece

    def _take_frame(self):
        data = self.data
        if len(data) < 2:
            return None
        size, start = data[1] & 0x7f, 2
        if size == 126:
            size, start = struct.unpack(">H", data[2:4])[0] if len(data) >= 4 else 1 << 40, 4
        elif size == 127:
            size, start = struct.unpack(">Q", data[2:10])[0] if len(data) >= 10 else 1 << 40, 10
        if len(data) < start + size:
            return None
        payload, self.data = data[start:start + size], data[start + size:]
        return data[0] & 0x0f, payload

    def end(self, within_s=ANSWER_S_MAX, polite=True):
        """Reads to the end of the connection: the code of the server's close frame, None for none, "open" when it does not end.

        polite: answers the close, as a client has to; the server waits for that, but not for ever.
        """
        deadline = time.monotonic() + within_s
        while True:
            one = self.next_frame(deadline - time.monotonic())
            if one is None:
                return self.close_code if self.closed else "open"
            opcode, payload = one
            if opcode == CLOSE:
                self.close_code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
                if polite:
                    self.send(frame(CLOSE, payload[:2]))
            elif opcode == TEXT:
                self.lines += payload.decode().split("\n")

    def expect(self, wanted, within_s=ANSWER_S_MAX):
        """The next object that is wanted; what came before it is in `seen`."""
        deadline = time.monotonic() + within_s
        while True:
            while self.lines:
                one = json.loads(self.lines.pop(0))
                if wanted(one):
                    return one
            got = self.next_frame(deadline - time.monotonic())
            if got is None:
                return None
            opcode, payload = got
            if opcode == TEXT:
                self.lines += payload.decode().split("\n")
            elif opcode == PING:
                self.send(frame(PONG, payload))
            elif opcode == CLOSE:
                self.close_code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005

    def ask(self, command, within_s=ANSWER_S_MAX):
        """The reply to a command."""
        self.say(command)
        return self.expect(lambda one: one.get("re") == command["id"], within_s) or {}
