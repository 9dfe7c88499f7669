"""A node that answers from a script, for tests of the command line: real sockets, no log behind them."""

import base64
import contextlib
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse


class FakeNode:
    """Answers with what `handler(request)` returns: (status, body), where body is an object for JSON, or bytes; or None: closes the
    connection without a word. Keeps the requests in `requests`."""

    class Request:
        def __init__(self, method, target, body, client):
            self.method = method
            self.target = target
            path, _, query = target.partition("?")
            self.path = path
            self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
            self.body = body
            self.json = json.loads(body) if body else None
            self.client = client  # the connection: kept ones have the same

    def __init__(self, handler):
        self.requests = []
        self.connections = []
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = FakeNode.Request(self.command, self.path, body, self.client_address)
                node.requests.append(request)
                response = handler(request)
                if response is None:
                    self.close_connection = True
                    return
                status, content = response
                if not isinstance(content, bytes):
                    content = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def process_request(self, request, client_address):
                node.connections.append(request)
                super().process_request(request, client_address)

            def handle_error(self, request, client_address):
                if not isinstance(sys.exc_info()[1], ConnectionError):
                    super().handle_error(request, client_address)

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.server.server_close()

    def close_kept_connections(self):
        """Ends the connections that wait for a next request; returns when they have ended."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def topics_asked(self):
        return [(request.method, request.target) for request in self.requests]


class Ran:
    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self):
        return f"exit code {self.code}\nout: {self.out!r}\nerr: {self.err!r}"


class Program:
    def __init__(self, path):
        self.path = path

    def environment(self, extra):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TROUPE_")}
        return {**environment, **extra}

    def run(self, *arguments, stdin=b"", **environment):
        """Runs to the end, within 30 s. Standard output as bytes, standard error as text."""
        ran = subprocess.run([self.path, *arguments], input=stdin, capture_output=True, timeout=30, check=False,
                             env=self.environment(environment))
        return Ran(ran.returncode, ran.stdout, ran.stderr.decode())

    def start(self, *arguments, **environment):
        return subprocess.Popen([self.path, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.environment(environment))


def text(encoded):
    return base64.b64decode(encoded)


def interrupt(process):
    process.send_signal(signal.SIGINT)
