#!/usr/bin/env python3
"""`troupe consume --group` against real nodes: what it prints, commits, and leaves behind when it ends in one way or the other.

    consume_group_test.py PROGRAM
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "node"), os.path.join(HERE, "..", "cluster")]

from cluster_process import Cluster, until  # noqa: E402
from fake_node import Program, interrupt  # noqa: E402
from node_process import NodeProcess, fresh_folder  # noqa: E402

PROGRAM = sys.argv.pop(1)
TROUPE = Program(PROGRAM)
WAIT_S = 20


class Running:
    """A `consume` that goes on; its lines so far."""

    def __init__(self, *arguments):
        self.process = TROUPE.start("consume", *arguments)
        self.lines = []
        self.told = []
        self.readers = [threading.Thread(target=self.read, args=(self.process.stdout, self.lines), daemon=True),
                        threading.Thread(target=self.read, args=(self.process.stderr, self.told), daemon=True)]
        for reader in self.readers:
            reader.start()

    def read(self, stream, lines):
        for line in stream:
            lines.append(line.decode().rstrip("\n"))

    def end(self, how=interrupt):
        """The exit code; all that it said is here then."""
        how(self.process)
        code = self.process.wait(WAIT_S)
        for reader in self.readers:
            reader.join(WAIT_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        return code

    def has_told(self, text):
        return any(text in line for line in self.told)


def kill(process):
    process.send_signal(signal.SIGKILL)


class Case(unittest.TestCase):
    running = ()

    def setUp(self):
        self.running = []

    def tearDown(self):
        for one in self.running:
            if one.process.poll() is None:
                one.end(kill)

    def start(self, *arguments):
        self.running.append(Running(*arguments))
        return self.running[-1]

    def until(self, condition, what):
        return until(condition, WAIT_S, lambda: f"{what}; said: {[one.told[-4:] for one in self.running]}")


class OneNode(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = fresh_folder()
        cls.node = NodeProcess(PROGRAM, cls.folder.name)
        cls.node.start()
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        cls.node.end()
        cls.folder.cleanup()

    def setUp(self):
        super().setUp()
        OneNode.count += 1
        self.topic = f"t{OneNode.count}"
        self.group = f"g{OneNode.count}"
        self.node.call("POST", "/v1/topics", {"name": self.topic, "partitions": 4})

    def write(self, *values):
        """Value n goes to partition n % 4."""
        self.node.call("POST", f"/v1/topics/{self.topic}/records",
                       {"records": [{"partition": value % 4, "value": value} for value in values]})

    def consume(self, *arguments):
        return self.start(self.topic, "--group", self.group, "--url", self.node.url, *arguments)

    def run_to_end(self, *arguments):
        return TROUPE.run("consume", self.topic, "-g", self.group, "--url", self.node.url, *arguments)

    def show(self):
        status, body = self.node.get(f"/v1/groups/{self.group}")
        return json.loads(body) if status == 200 else {"members": [], "partitions": []}

    def committed(self):
        return sum(one["committed"] or 0 for one in self.show()["partitions"])

    def test_prints_and_commits_until_it_is_interrupted_and_leaves_at_once(self):
        self.write(*range(8))
        one = self.consume()
        self.until(lambda: len(one.lines) == 8, "eight lines")
        self.assertEqual(sorted(map(int, one.lines)), list(range(8)))
        self.until(lambda: self.committed() == 8, "committed while it goes on")
        self.assertRegex(self.show()["members"][0]["client_id"], r"^consume-\d+@")
        self.assertEqual(self.show()["members"][0]["client_host"], "127.0.0.1")
        self.write(8, 9)
        self.until(lambda: len(one.lines) == 10, "what comes")
        self.until(lambda: one.told == [f'troupe: group "{self.group}": has {self.topic} 0,1,2,3'], "what it has, once")
        self.assertEqual(one.end(), 130)
        self.assertEqual(one.told[-1], "troupe: 10 records")
        self.until(lambda: self.show()["members"] == [], "it has left")
        self.assertEqual(self.committed(), 10)
        self.write(10)
        ran = self.run_to_end("-e")
        self.assertEqual((ran.code, ran.out), (0, b"10\n"), ran)

    def test_two_share_and_one_that_is_killed_is_replaced_at_once(self):
        one = self.consume()
        two = self.consume()
        self.until(lambda: sorted(len(member["assigned"]) for member in self.show()["members"]) == [2, 2], "two each")
        self.write(*range(40))
        self.until(lambda: len(one.lines) + len(two.lines) == 40, "all of them")
        self.assertEqual(sorted(map(int, one.lines + two.lines)), list(range(40)))
        self.assertEqual((len(one.lines), len(two.lines)), (20, 20))
        self.until(lambda: self.committed() == 40, "committed")
        began = time.monotonic()
        one.end(kill)
        self.write(*range(40, 60))
        self.until(lambda: len(two.lines) == 40, "the other one has them")
        self.assertLess(time.monotonic() - began, 10)  # its session timeout would be 45 s
        self.until(lambda: two.has_told("has " + self.topic + " 0,1,2,3"), "it says so")
        self.assertEqual(two.end(), 130)

    def test_a_count_is_kept_to_and_the_next_one_goes_on_there(self):
        self.write(*range(1200))
        values = []
        for count in (1, 700, 499):
            ran = self.run_to_end("-n", str(count))
            self.assertEqual((ran.code, ran.out.count(b"\n")), (0, count), ran)
            self.assertNotIn("again", ran.err)  # all that was printed is committed
            values += map(int, ran.out.split())
        self.assertEqual(sorted(values), list(range(1200)))
        for partition in range(4):
            own = [value for value in values if value % 4 == partition]
            self.assertEqual(own, sorted(own))
        ran = self.run_to_end("-e")
        self.assertEqual((ran.code, ran.out), (0, b""), ran)

    def test_where_a_group_begins_that_has_no_position(self):
        self.write(*range(4))
        ran = self.run_to_end("-e", "-o", "end")
        self.assertEqual((ran.code, ran.out), (0, b""), ran)
        self.group += "-start"
        ran = self.run_to_end("-e", "--json")
        self.assertEqual(ran.code, 0, ran)
        self.assertEqual(sorted(json.loads(line)["v"] for line in ran.out.splitlines()), list(range(4)))
        ran = self.run_to_end("-e", "-o", "end")
        self.assertEqual((ran.code, ran.out), (0, b""), ran)

    def test_more_members_than_partitions(self):
        self.node.call("POST", "/v1/topics", {"name": self.topic + "-one", "partitions": 1})
        self.topic += "-one"
        one = self.consume()
        self.until(lambda: [len(member["assigned"]) for member in self.show()["members"]] == [1], "it has the partition")
        ran = self.run_to_end("-e")
        self.assertEqual((ran.code, ran.out), (0, b""), ran)
        self.assertEqual(one.end(), 130)

    def test_a_reset_while_it_reads(self):
        self.write(*range(4))
        one = self.consume()
        self.until(lambda: len(one.lines) == 4 and self.committed() == 4, "all of them")
        self.node.call("POST", f"/v1/groups/{self.group}/reset", {"to": "earliest"})
        self.until(lambda: len(one.lines) == 8, "and again")
        self.assertTrue(one.has_told("goes on at offset 0: the group was reset"), one.told)
        self.assertEqual(one.end(), 130)

    def test_a_reader_that_has_seen_enough_ends_it(self):
        self.write(*range(100))
        process = TROUPE.start("consume", self.topic, "-g", self.group, "--url", self.node.url)
        process.stdout.readline()
        process.stdout.close()
        until(lambda: self.show()["members"], WAIT_S, "a member")
        for value in range(100, 200):  # until it notices that nobody reads
            self.write(value)
            if process.poll() is not None:
                break
        self.assertEqual(process.wait(WAIT_S), 0)
        process.stdin.close()
        process.stderr.close()
        self.until(lambda: self.show()["members"] == [], "it has left")
        self.assertLessEqual(self.committed(), 100)

    def test_some_partitions_without_a_group(self):
        self.write(*range(8))
        ran = TROUPE.run("consume", self.topic, "-e", "-p", "3,1,3", "--url", self.node.url)
        self.assertEqual((ran.code, sorted(map(int, ran.out.split()))), (0, [1, 3, 5, 7]), ran)
        for partitions, code in (("4", 3), ("", 1), ("1,", 1), ("99999999999", 1)):
            ran = TROUPE.run("consume", self.topic, "-e", "-p", partitions, "--url", self.node.url)
            self.assertEqual((ran.code, ran.out), (code, b""), ran)

    def test_the_readme(self):
        with open(os.path.join(HERE, "..", "..", "..", "README.md"), encoding="utf-8") as readme:
            block = re.search(r"## A group of workers\n.*?```bash\n(.*?)```", readme.read(), re.DOTALL).group(1)
        # A reader waits for a second; a busy machine may want more.
        self.assertIn("\nsleep 1; ", block)
        wait = "until [ $(sort -nu one.txt two.txt | wc -l) = 2000 ]; do sleep 0.1; done"
        block = block.replace("sleep 1; ", f"timeout 30 bash -c '{wait}'; ")
        with fresh_folder() as folder:
            os.symlink(os.path.abspath(PROGRAM), os.path.join(folder, "troupe"))
            environment = {**os.environ, "PATH": folder + os.pathsep + os.environ["PATH"], "TROUPE_URL": self.node.url}
            ran = subprocess.run(["bash", "-m", "-c", block + "kill %2; wait"], cwd=folder, env=environment, capture_output=True, text=True,
                                 timeout=60, check=False)
        self.assertEqual(ran.stdout.splitlines()[-1].strip(), "2000", ran)
        self.assertIn("CURRENT-OFFSET", ran.stdout)

    def test_the_node_is_killed_and_comes_back(self):
        one = self.consume("--timeout", "20s")
        self.write(1)
        self.until(lambda: one.lines == ["1"] and self.committed() >= 1, "the first")
        self.node.kill()
        self.node.start()
        self.write(2)
        self.until(lambda: "2" in one.lines, "the second")
        self.assertEqual(one.lines, ["1", "2"])
        self.assertTrue(one.has_told("joins again"), one.told)
        self.assertEqual(one.end(), 130)

    def test_refusals(self):
        def refused(code, text, *arguments):
            ran = TROUPE.run("consume", *arguments, "--url", self.node.url)
            self.assertEqual((ran.code, ran.out), (code, b""), ran)
            self.assertIn(text, ran.err)
            self.assertEqual(ran.err.count("\n"), 1, ran)
        refused(2, "`troupe group reset` moves it", self.topic, "-g", "g", "-o", "-5")
        refused(2, "are for reading alone", self.topic, "-g", "g", "--cursor", "c")
        refused(2, "are for reading alone", self.topic, "-g", "g", "-k", "ana")
        refused(2, "are for reading alone", self.topic, "-g", "g", "-p", "0")
        refused(2, "expected 1 or more", self.topic, "-g", "g", "-n", "0")
        refused(3, f'(did you mean "{self.topic}"?)', self.topic + "x", "-g", "g")
        refused(1, 'group "a b"', self.topic, "-g", "a b")
        ran = TROUPE.run("consume", self.topic, "-g", "g", "--url", "http://127.0.0.1:1,http://127.0.0.1:2")
        self.assertEqual(ran.code, 6, ran)
        self.assertIn("is `troupe serve` running there?", ran.err)

    def test_the_first_of_several_urls_is_dead(self):
        self.write(7)
        for group in ("-g", self.group), ():
            ran = TROUPE.run("consume", self.topic, *group, "-e", "--url", f"http://127.0.0.1:1,{self.node.url}")
            self.assertEqual((ran.code, ran.out), (0, b"7\n"), ran)


class ACluster(Case):
    def test_its_node_is_killed_and_it_goes_on_at_another(self):
        with fresh_folder() as folder:
            cluster = Cluster(PROGRAM, folder)
            try:
                cluster.start()
                node = cluster.nodes[cluster.asked()]
                until(lambda: node.request("POST", "/v1/topics", {"name": "t", "partitions": 6, "replication_factor": 3})[0] in (201, 409),
                      WAIT_S, "the topic")
                cluster.wait_whole("t")
                write = lambda n, values: cluster.nodes[n].call("POST", "/v1/topics/t/records",  # noqa: E731
                                                                {"records": [{"partition": value % 6, "value": value} for value in values]})
                urls = ",".join(one.url for one in cluster.nodes.values())
                one = self.start("t", "-g", "g", "--url", urls)
                write(1, range(60))
                self.until(lambda: len(one.lines) == 60, "the first")
                until(lambda: cluster.show(2, "/v1/groups/g")["lag"] == 0, WAIT_S, "committed")
                cluster.nodes[1].kill()  # the first of its URLs
                until(lambda: cluster.ask(2, "/readyz") and cluster.controller([2, 3]), WAIT_S, cluster.logs)
                write(2, range(60, 120))
                self.until(lambda: len(one.lines) >= 120, "and what comes after it")
                # All was committed before its node died: nothing comes twice.
                self.assertEqual(sorted(map(int, one.lines)), list(range(120)))
                self.assertEqual(one.end(), 130)
                until(lambda: cluster.show(3, "/v1/groups/g")["members"] == [], WAIT_S, "it has left")
            finally:
                cluster.end()


if __name__ == "__main__":
    unittest.main()
