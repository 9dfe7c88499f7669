"""One of the examples in a process of its own, its lines kept, and a node for it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "..", "examples")
sys.path.insert(0, os.path.join(HERE, "..", "node"))

from node_process import NodeProcess, fresh_folder  # noqa: E402


class Example:
    """`python3 examples/NAME ...`, or with node. `lines` are those that it printed so far, also after its death."""

    def __init__(self, name, *arguments, interpreter=(sys.executable,)):
        command = [*interpreter, os.path.join(EXAMPLES, name), *arguments]
        self.lines = []
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def matches(self, text):
        return [line for line in self.lines if text in line]

    def kill(self):
        """kill -9. Returns when it is gone and all that it had printed is here."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join(10)

    def interrupt(self, seconds=10):
        """As Ctrl-C does. Returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.end_by_itself(seconds)

    def end_by_itself(self, seconds=30):
        code = self.process.wait(seconds)
        self.reader.join(10)
        return code

    def end(self):
        if self.process.poll() is None:
            self.kill()


class Stage:
    """A node, and the examples that play on it."""

    def __init__(self, program):
        self.folder = fresh_folder()
        self.node = NodeProcess(program, self.folder.name)
        self.examples = []

    def __enter__(self):
        self.node.start()
        return self

    def __exit__(self, kind, *unused):
        for example in self.examples:
            example.end()
            if kind:
                print(f"-- {example.process.args[1:]}\n" + "\n".join(example.lines[-15:]))
        self.node.end()
        if kind:
            print(self.node.log_tail())
        self.folder.cleanup()

    @property
    def ws(self):
        return f"ws://127.0.0.1:{self.node.port}/v1/ws"

    def start(self, name, *arguments, **how):
        self.examples.append(Example(name, *arguments, **how))
        return self.examples[-1]

    def wait_for(self, what, condition, seconds=30):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            threading.Event().wait(0.02)

    def group(self, name):
        """What the node says of it; one that does not exist yet is empty."""
        status, body = self.node.get(f"/v1/groups/{name}")
        return json.loads(body) if status == 200 else {"state": "empty", "members": [], "partitions": []}

    def is_done(self, group):
        """Whether all that its partitions have is committed. (One without a commit has no lag, whatever is in it.)"""
        partitions = self.group(group)["partitions"]
        return bool(partitions) and all(one["lag"] == 0 or one["log_end"] == 0 for one in partitions)
