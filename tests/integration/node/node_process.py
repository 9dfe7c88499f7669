"""A real node in a process of its own, for tests: started, killed, started again on the same data and port."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

START_S_MAX = 60


def free_port():
    """A port that the kernel had free a moment ago: a node that starts again needs the same one."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


class NodeProcess:
    """`troupe serve` with a folder. Its log lines are kept; `error_lines` are those that nobody expected."""

    def __init__(self, program, folder, options=(), port=None):
        self.program = program
        self.folder = folder
        self.options = list(options)
        self.port = port or free_port()
        self.data_dir = os.path.join(folder, "data")
        self.log_path = os.path.join(folder, "node.log")
        self.process = None
        self.starts = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = self.launch([self.program, "serve", "--data-dir", self.data_dir, "--http", f"127.0.0.1:{self.port}",
                                        "--log-format", "json", *self.options], log)
        self.starts += 1
        if wait:
            self.wait_ready()

    def launch(self, command, log):
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def connection(self, timeout):
        """A connection that is not open yet."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def wait_ready(self, seconds=START_S_MAX):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the node ended with {self.process.returncode}:\n{self.log_tail()}")
            try:
                if self.get("/readyz", timeout=2)[0] == 200:
                    return
            except OSError:
                pass
            except http.client.HTTPException:
                pass
            try:
                self.process.wait(0.01)
            except subprocess.TimeoutExpired:
                pass
        raise AssertionError(f"the node was not ready within {seconds} s:\n{self.log_tail()}")

    def wait_for(self, condition, seconds=20):
        """Until `condition` holds, asked again and again."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s:\n{self.log_tail()}"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=15):
        """SIGTERM. Returns the exit code and how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        return code, time.monotonic() - began

    def end(self):
        """However it is: no process stays behind."""
        if self.process and self.process.poll() is None:
            self.kill()

    def request(self, method, path, body=None, headers=None, timeout=30):
        """(status, headers, body) of one request on a connection of its own."""
        connection = self.connection(timeout)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
                headers = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def get(self, path, timeout=30):
        status, _, body = self.request("GET", path, timeout=timeout)
        return status, body

    def call(self, method, path, body=None, headers=None, expect=(200, 201)):
        """The JSON answer of a request that has to succeed."""
        status, _, answer = self.request(method, path, body, headers)
        assert status in expect, f"{method} {path}: {status} {answer[:400]}"
        return json.loads(answer) if answer else None

    def read_all(self, topic):
        """Every record of a topic, as {partition: [record, ...]}, by pages."""
        partitions = {}
        query = "from=earliest"
        while True:
            page = self.call("GET", f"/v1/topics/{topic}/records?{query}&limit=1000")
            for record in page["records"]:
                partitions.setdefault(record["p"], []).append(record)
            if page["end"] and not page["records"]:
                return partitions
            query = "cursor=" + page["cursor"]

    def memory_kb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def log_lines(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read().splitlines()

    def log_tail(self):
        return "\n".join(self.log_lines()[-20:])

    def error_lines(self):
        return [line for line in self.log_lines() if '"lvl":"error"' in line]


def fresh_folder():
    return tempfile.TemporaryDirectory(prefix="troupe-node-")
