#!/usr/bin/env python3
"""Installs Troupe, builds examples/word_count against the installed package as somebody else's project, runs it, and talks to it with curl.

    install_test.py SOURCE_DIR BUILD_DIR CXX_COMPILER
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

DEADLINE_S = 30
KILLS = 5


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def check(what, good):
    if not good:
        raise AssertionError(what)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node:
    """One run of the example."""

    def __init__(self, program, data):
        self.port = free_port()
        self.log = data + ".log"
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([program, "--data-dir", data, "--http", f"127.0.0.1:{self.port}"], stderr=log)
        self.wait("the node is ready", lambda: self.curl("/readyz", expect=False) is not None)

    def curl(self, path, body=None, expect=True):
        command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "10", f"http://127.0.0.1:{self.port}{path}"]
        if body is not None:
            command += ["--json", json.dumps(body)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            check(f"{' '.join(command)}: {done.stderr}", not expect)
            return None
        return done.stdout

    def get(self, path):
        return json.loads(self.curl(path))

    def wait(self, what, condition):
        # Each look is a whole request of its own: that is pause enough.
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            check(f"{what}: the node ended", self.process.poll() is None)
            if condition():
                return
        sys.exit(f"not within {DEADLINE_S} s: {what}")

    def say(self, line):
        self.curl("/v1/topics/lines/records", {"records": [{"value": line}]})

    def counts(self):
        """Every count of every word, in the order of the log."""
        if self.curl("/v1/topics/words", expect=False) is None:
            return {}
        words = {}
        for record in self.get("/v1/topics/words/records?from=earliest&limit=1000")["records"]:
            words.setdefault(record["k"], []).append(int(record["v"]))
        return words

    def host(self):
        tree = self.get("/v1/cluster/tree")
        actors = tree["nodes"][0]["actors"]
        return next((actor for actor in actors if actor["name"] == "word-count/lines/0"), None)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        check("a graceful stop ends with 0", self.process.wait(15) == 0)


def talk(program, data):
    node = Node(program, data)
    try:
        node.curl("/v1/topics", {"name": "lines"})
        node.say("to be or not to be")
        node.wait("the first line is counted", lambda: node.counts() == {"to": [1, 2], "be": [1, 2], "or": [1], "not": [1]})
        node.say("poison or not")
        node.wait("the poison was survived",
                  lambda: node.counts() == {"to": [1, 2], "be": [1, 2], "or": [1, 2], "not": [1, 2], "poison": [1]})
        host = node.host()
        check(f"one restart: {host}", host["restarts"] == 1 and "poison in the line" in host["last_error"])
        node.stop()
        # What was counted is known after a restart, and nothing is written again.
        node = Node(program, data)
        node.say("not so")
        node.wait("the counts go on", lambda: node.counts().get("so") == [1])
        check(f"nothing twice: {node.counts()}", node.counts()["not"] == [1, 2, 3] and node.counts()["to"] == [1, 2])
        # Killed at any point it writes every count, once and in order.
        said = 0
        for kill in range(KILLS):
            for _ in range(10 + 7 * kill):
                node.say("tick tock")
                said += 1
            node.process.kill()
            node.process.wait()
            node = Node(program, data)
        numbers = list(range(1, said + 1))
        node.wait("the ticks are counted", lambda: len(node.counts().get("tock", [])) >= said)
        check(f"after {KILLS} kills: {node.counts()}", node.counts()["tick"] == numbers and node.counts()["tock"] == numbers)
        node.stop()
    finally:
        if node.process.poll() is None:
            node.process.kill()
            node.process.wait()
            with open(node.log, encoding="utf-8") as log:
                print(log.read())


def main():
    source, build, compiler = sys.argv[1:]
    for program in ("curl", "ninja"):
        if shutil.which(program) is None:
            print(f"SKIPPED: package {'ninja-build' if program == 'ninja' else program} is missing")
            sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="troupe-install-") as folder:
        prefix = os.path.join(folder, "prefix")
        run("cmake", "--install", build, "--prefix", prefix)
        for path in ("bin/troupe", "lib/cmake/Troupe/TroupeConfig.cmake", "include/troupe/core/processing/processor.hpp",
                     "share/troupe/configs/single.toml"):
            check(f"{path} is installed", os.path.exists(os.path.join(prefix, path)))
        check("the installed program runs", run(os.path.join(prefix, "bin/troupe"), "version").startswith("troupe "))

        project = os.path.join(folder, "project")
        shutil.copytree(os.path.join(source, "examples/word_count"), project)
        made = os.path.join(folder, "made")
        run("cmake", "-S", project, "-B", made, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
            f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra")
        built = run("cmake", "--build", made)
        check(f"no warnings from our headers: {built}", "warning" not in built)
        talk(os.path.join(made, "word_count"), os.path.join(folder, "data"))
    print("install: built outside, poison survived, counts kept over a restart")


if __name__ == "__main__":
    main()
