#!/usr/bin/env python3
"""The commands about a cluster, against a node that answers from a script: what they ask, print and return.

    cluster_commands_test.py TROUPE
"""

import json
import os
import sys
import tempfile
import unittest

from fake_node import FakeNode, Program, interrupt

TROUPE = Program(sys.argv.pop(1))
BROKERS = [{"id": 1, "host": "h", "port": 80, "rack": "a", "state": "up", "voter": True, "leads": 2, "replicas": 3, "epoch": 7},
           {"id": 2, "host": "h", "port": 81, "rack": None, "state": "drained", "voter": False, "leads": 0, "replicas": 3, "epoch": 9},
           {"id": 3, "host": "h", "port": 82, "rack": "b", "state": "up", "voter": True, "leads": 1, "replicas": 0, "epoch": 8}]
CLUSTER = (200, {"cluster_id": "abc", "node_id": 2, "controller_id": 1, "brokers": BROKERS})
HEALTH = {"healthy": True, "controller_id": 1, "brokers": 3, "brokers_up": 3, "voters": 3, "voters_up": 3, "partitions": 12,
          "leaderless": 0, "under_replicated": 0, "under_min_isr": 0, "reassigning": 1, "not_preferred": 0, "problems": []}
SICK = {**HEALTH, "healthy": False, "brokers_up": 2, "problems": ["broker 3 is away\x1b[2J"]}
CONTROLLER_AWAY = (503, {"error_code": 40404, "message": "there is no controller", "code": "no_leader"})


def partition(number, replicas, topic="orders", **more):
    return {"topic": topic, "partition": number, "leader": replicas[0], "leader_epoch": 4, "replicas": replicas, "isr": replicas, "elr": [],
            "adding": [], "removing": [], "min_isr": 2, **more}


class Script:
    """Answers each request with the next of what stands for its method and path; the last one stays."""

    def __init__(self, **answers):
        self.answers = {key: list(value) for key, value in answers.items()}

    def __call__(self, request):
        queue = self.answers[f"{request.method} {request.path}"]
        return queue.pop(0) if len(queue) > 1 else queue[0]


def script(**answers):
    return Script(**answers)


class Case(unittest.TestCase):
    maxDiff = None

    def check(self, ran, code, out=None, err=None):
        self.assertEqual(ran.code, code, ran)
        if out is not None:
            self.assertEqual(ran.out.decode(), out, ran)
        if err is not None:
            self.assertIn(err, ran.err, ran)
            self.assertTrue(all(line.startswith("troupe: ") for line in ran.err.splitlines()), ran)

    def asked(self, node):
        """What changed something, with its body."""
        return [(request.method, request.target, request.json) for request in node.requests if request.method != "GET"]


class Views(Case):
    def test_status(self):
        answers = {"/v1/cluster": CLUSTER,
                   "/healthz": (503, {"ready": True, "healthy": False, "checks": [{"name": "disk", "ok": False, "detail": "full"}]})}
        with FakeNode(lambda request: answers[request.path]) as node:
            self.check(TROUPE.run("cluster", "status", "--url", node.url), 0,
                       "cluster     abc\nnode        2\ncontroller  1\nhealthy     no\n"
                       "BROKER  HOST  PORT  RACK  STATE    VOTER  LEADS  REPLICAS  EPOCH\n"
                       "     1  h       80  a     up       yes        2         3      7\n"
                       "     2  h       81  -     drained  no         0         3      9\n"
                       "     3  h       82  b     up       yes        1         0      8\n"
                       "CHECK  OK  DETAIL\ndisk   no  full\n")
            document = json.loads(TROUPE.run("cluster", "status", "--json", "--url", node.url).out)
            self.assertEqual(document["health"]["checks"][0]["name"], "disk")
            ran = TROUPE.run("cluster", "brokers", "--url", node.url)
            self.assertEqual(ran.out.decode().splitlines()[1], "     1  h       80  a     up       yes        2         3      7")
            self.assertEqual(json.loads(TROUPE.run("cluster", "brokers", "--json", "--url", node.url).out), CLUSTER[1])

    def test_health(self):
        with FakeNode(lambda request: (200, HEALTH)) as node:
            self.check(TROUPE.run("cluster", "health", "--url", node.url), 0,
                       "healthy           yes\ncontroller        1\nbrokers           3 of 3 up\nvoters            3 of 3 up\n"
                       "partitions        12\nleaderless        0\nunder_replicated  0\nunder_min_isr     0\nreassigning       1\n"
                       "not_preferred     0\n")
            self.assertEqual(json.loads(TROUPE.run("cluster", "health", "--json", "--url", node.url).out), HEALTH)
        with FakeNode(lambda request: (200, SICK)) as node:
            ran = TROUPE.run("cluster", "health", "--url", node.url)
            self.check(ran, 1, err="")
            self.assertTrue(ran.out.decode().endswith("problem: broker 3 is away\\u001b[2J\n"), ran)
            self.assertEqual(len(node.requests), 1)
        with FakeNode(lambda request: CONTROLLER_AWAY) as node:
            self.check(TROUPE.run("cluster", "health", "--url", node.url), 6, "", "health: there is no controller (HTTP 503)")
        with FakeNode(lambda request: (200, b"hello")) as node:
            self.check(TROUPE.run("cluster", "health", "--url", node.url), 1, "", "is not what a Troupe node answers")

    def test_health_is_waited_for(self):
        with FakeNode(script(**{"GET /v1/cluster/health": [CONTROLLER_AWAY, (200, SICK), None, (200, HEALTH)]})) as node:
            ran = TROUPE.run("cluster", "health", "--exit-when-healthy", "--url", node.url)
            self.check(ran, 0)
            self.assertTrue(ran.out.startswith(b"healthy           yes"), ran)
        with FakeNode(lambda request: (200, SICK)) as node:
            self.check(TROUPE.run("cluster", "health", "--exit-when-healthy", "--timeout", "700ms", "--url", node.url), 1)
            self.assertGreater(len(node.requests), 1)
        with FakeNode(lambda request: (404, {"error_code": 404, "message": "there is nothing at this path"})) as node:
            self.check(TROUPE.run("cluster", "health", "--exit-when-healthy", "--url", node.url), 3, "", "nothing at this path")
            self.assertEqual(len(node.requests), 1)

    def test_an_interruption_ends_the_waiting(self):
        with FakeNode(lambda request: (200, SICK)) as node:
            process = TROUPE.start("cluster", "health", "--exit-when-healthy", "--url", node.url)
            while not node.requests:
                self.assertIsNone(process.poll())
            interrupt(process)
            process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130)

    def test_partitions_page_after_page(self):
        pages = [(200, {"partitions": [partition(0, [1, 2], isr=[1], elr=[2])], "next": "orders:0"}),
                 (200, {"partitions": [partition(1, [2, 3], leader=None, adding=[3], removing=[1])], "next": None})]
        with FakeNode(script(**{"GET /v1/cluster/partitions": pages})) as node:
            ran = TROUPE.run("cluster", "partitions", "-t", "a b", "--only", "under_replicated", "--broker", "2", "--url", node.url)
            self.check(ran, 0, "TOPIC   PARTITION  LEADER  EPOCH  REPLICAS  ISR  MIN_ISR  ELR  ADDING  REMOVING\n"
                               "orders          0       1      4  1,2       1          2  2    -       -\n"
                               "orders          1       -      4  2,3       2,3        2  -    3       1\n")
            query = {"topic": "a b", "only": "under_replicated", "broker": "2", "limit": "1000"}
            self.assertEqual([request.query for request in node.requests], [query, {**query, "after": "orders:0"}])
        with FakeNode(lambda request: (200, {"partitions": [partition(0, [1])], "next": "orders:0"})) as node:
            ran = TROUPE.run("cluster", "partitions", "-n", "1", "--json", "--url", node.url)
            self.assertEqual(len(json.loads(ran.out)["partitions"]), 1)
            self.assertEqual([request.query for request in node.requests], [{"limit": "1"}])
        with FakeNode(lambda request: (400, {"error_code": 400, "message": "no"})) as node:
            self.check(TROUPE.run("cluster", "partitions", "--url", node.url), 1, "", "partitions: no (HTTP 400)")
        self.check(TROUPE.run("cluster", "partitions", "--only", "lost"), 2, "", "")

    def test_quorum(self):
        quorum = {"leader_id": 1, "epoch": 5, "high_watermark": 100,
                  "voters": [{"id": 1, "host": "h", "port": 9071, "state": "leader", "log_end": 100, "lag": 0, "last_contact_ms": 0}],
                  "observers": [{"id": 4, "host": None, "port": None, "state": "silent", "log_end": None, "lag": None,
                                 "last_contact_ms": None}]}
        with FakeNode(lambda request: (200, quorum)) as node:
            self.check(TROUPE.run("cluster", "quorum", "--url", node.url), 0,
                       "leader          1\nepoch           5\nhigh watermark  100\n"
                       "NODE  ROLE      HOST  PORT  STATE   LOG_END  LAG  LAST_CONTACT_MS\n"
                       "   1  voter     h     9071  leader      100    0                0\n"
                       "   4  observer  -        -  silent        -    -                -\n")
            self.check(TROUPE.run("cluster", "voters", "add", "4", "--url", node.url), 0)
            self.check(TROUPE.run("cluster", "voters", "remove", "1", "--json", "--url", node.url), 0, json.dumps(
                quorum, separators=(",", ":")) + "\n")
            self.assertEqual(self.asked(node), [("POST", "/v1/cluster/quorum/voters", {"id": 4}),
                                                ("DELETE", "/v1/cluster/quorum/voters/1", None)])
        with FakeNode(lambda request: (409, {"error_code": 409, "message": "another change is under way"})) as node:
            self.check(TROUPE.run("cluster", "voters", "add", "4", "--url", node.url), 4, "",
                       "voter 4: another change is under way (HTTP 409)")
        self.check(TROUPE.run("cluster", "voters", "add"), 2, "", "NODE is required")
        self.check(TROUPE.run("cluster", "voters", "add", "x"), 2, "", "")

    def test_tree(self):
        row = {"state": "running", "mailbox_depth": 0, "messages_handled": 12, "busy_ms": None, "restarts": 1, "last_error": None}
        actors = [{"kind": "node", "name": "node", "parent": "", **row},
                  {"kind": "disk_worker", "name": "node/log/disk", "parent": "node/log", **row},
                  {"kind": "supervisor", "name": "node/log", "parent": "node", **row},
                  {"kind": "x", "name": "circle", "parent": "circle", **row}]
        table = ("ACTOR     KIND         STATE    MAILBOX  HANDLED  BUSY_MS  RESTARTS  LAST_ERROR\n"
                 "node      node         running        0       12        -         1  -\n"
                 "  log     supervisor   running        0       12        -         1  -\n"
                 "    disk  disk_worker  running        0       12        -         1  -\n"
                 "circle    x            running        0       12        -         1  -\n")
        one = {"node_id": 1, "actors": actors}
        away = {"node_id": 2, "error": {"code": "timeout", "message": "node 2 does not answer"}}
        with FakeNode(lambda request: (200, {"nodes": [one]})) as node:
            self.check(TROUPE.run("actor", "tree", "--node", "1", "--url", node.url), 0, table)
            self.assertEqual(node.requests[0].target, "/v1/cluster/tree?node=1")
        with FakeNode(lambda request: (200, {"nodes": [one, away, {**one, "node_id": 3}]})) as node:
            self.check(TROUPE.run("actor", "tree", "--url", node.url), 0, f"node 1\n{table}\nnode 3\n{table}",
                       "node 2: node 2 does not answer")
        with FakeNode(lambda request: (200, {"nodes": [away]})) as node:
            self.check(TROUPE.run("actor", "tree", "--url", node.url), 6, "", "node 2 does not answer")


class Brokers(Case):
    def drained(self, left, state="draining"):
        return (200, {"broker": 2, "state": state, "leads": left, "moved": 3, "left": left})

    def test_drain_asks_once(self):
        with FakeNode(lambda request: CLUSTER if request.method == "GET" else self.drained(4)) as node:
            line = "broker 2 draining, 4 leaderships left; `troupe cluster drain 2 --wait` waits for them\n"
            for who in ("2", "--self"):
                self.check(TROUPE.run("cluster", "drain", who, "--url", node.url), 0, line)
            self.assertEqual(self.asked(node), 2 * [("POST", "/v1/cluster/brokers/2/drain", {})])

    def test_drain_asks_until_nothing_is_left(self):
        answers = [self.drained(7), CONTROLLER_AWAY, self.drained(7), None, self.drained(1), self.drained(0, "drained")]
        with FakeNode(script(**{"POST /v1/cluster/brokers/2/drain": answers})) as node:
            ran = TROUPE.run("cluster", "drain", "2", "--wait", "--url", node.url)
            self.check(ran, 0, "broker 2 drained\n")
            self.assertEqual(ran.err, "troupe: broker 2: 7 leaderships left\ntroupe: broker 2: 1 leadership left\n")
            self.assertEqual(len(node.requests), 6)

    def test_drain_gives_up_when_nothing_moves(self):
        with FakeNode(lambda request: self.drained(2)) as node:
            ran = TROUPE.run("cluster", "drain", "2", "--wait", "--timeout", "400ms", "--url", node.url)
            self.check(ran, 6, "", "broker 2 still has 2 leaderships: no other replica in sync can lead them")
        with FakeNode(lambda request: (404, {"error_code": 404, "message": "there is no broker 2"})) as node:
            self.check(TROUPE.run("cluster", "drain", "2", "--wait", "--url", node.url), 3, "",
                       "broker 2: there is no broker 2 (HTTP 404)")
            self.assertEqual(len(node.requests), 1)

    def test_undrain_and_removal(self):
        with FakeNode(lambda request: (204, b"") if request.method == "DELETE" else self.drained(0, "up")) as node:
            self.check(TROUPE.run("cluster", "undrain", "2", "--url", node.url), 0, "broker 2 up\n")
            self.check(TROUPE.run("cluster", "remove-broker", "4", "--url", node.url), 0, "broker 4 removed\n")
            self.assertEqual([(method, path) for method, path, _ in self.asked(node)],
                             [("POST", "/v1/cluster/brokers/2/undrain"), ("DELETE", "/v1/cluster/brokers/4")])
        with FakeNode(lambda request: (409, {"error_code": 409, "message": "broker 4 holds 3 copies"})) as node:
            self.check(TROUPE.run("cluster", "remove-broker", "4", "--url", node.url), 4, "",
                       "holds 3 copies (HTTP 409); stop it, and move")

    def test_a_broker_has_to_be_named(self):
        for command in (["drain"], ["drain", "1", "--self"], ["undrain"], ["remove-broker"]):
            self.check(TROUPE.run("cluster", *command), 2, "", "name a broker")
        self.check(TROUPE.run("cluster", "drain", "-1"), 2, "")


class Elections(Case):
    RESULTS = {"results": [{"topic": "orders", "partition": 0, "leader": 1, "leader_epoch": 5},
                           {"topic": "orders", "partition": 1, "error": {"code": "conflict", "reason": "election_not_needed",
                                                                         "message": "it leads already"}}]}

    def test_preferred_leaders_everywhere(self):
        with FakeNode(lambda request: (200, self.RESULTS)) as node:
            self.check(TROUPE.run("cluster", "elect", "--url", node.url), 0,
                       "TOPIC   PARTITION  LEADER  EPOCH  RESULT\n"
                       "orders          0       1      5  elected\norders          1       -      -  as it was\n")
            self.assertEqual(self.asked(node), [("POST", "/v1/cluster/elections", {"type": "preferred"})])
        with FakeNode(lambda request: (200, {"results": []})) as node:
            self.check(TROUPE.run("cluster", "elect", "--url", node.url), 0, "every partition is led by its preferred leader\n")

    def test_a_leader_of_ones_choice(self):
        error = {"code": "no_leader", "reason": "eligible_leaders_not_available", "message": "broker 2 is not in sync"}
        refused = {"results": [{"topic": "orders", "partition": 3, "error": error}]}
        with FakeNode(lambda request: (200, refused)) as node:
            ran = TROUPE.run("cluster", "elect", "-t", "orders", "-p", "3", "--to", "2", "--url", node.url)
            self.check(ran, 1)
            self.assertIn(b"broker 2 is not in sync", ran.out)
            self.assertEqual(self.asked(node), [("POST", "/v1/cluster/elections",
                                                 {"type": "to", "to": 2, "partitions": [{"topic": "orders", "partition": 3}]})])

    def test_all_partitions_of_a_topic(self):
        def answer(request):
            page = {"partitions": [partition(0, [1]), partition(1, [1])], "next": None}
            return (200, self.RESULTS if request.method == "POST" else page)
        with FakeNode(answer) as node:
            self.check(TROUPE.run("cluster", "elect", "-t", "orders", "--unclean", "--yes", "--url", node.url), 0)
            self.assertEqual(self.asked(node)[0][2], {"type": "unclean", "partitions": [{"topic": "orders", "partition": 0},
                                                                                          {"topic": "orders", "partition": 1}]})

    def test_what_makes_no_sense_is_not_asked(self):
        self.check(TROUPE.run("cluster", "elect", "--to", "1"), 2, "", "need --topic")
        self.check(TROUPE.run("cluster", "elect", "-t", "a", "--unclean"), 2, "", "needs --yes when nobody can be asked")

    def test_a_controller_of_ones_choice(self):
        with FakeNode(lambda request: (200, {"leader_id": 2, "epoch": 9})) as node:
            self.check(TROUPE.run("cluster", "transfer", "--to", "2", "--url", node.url), 0, "controller 2, epoch 9\n")
            self.check(TROUPE.run("cluster", "transfer", "--url", node.url), 0)
            self.assertEqual([body for _, _, body in self.asked(node)], [{"to": 2}, {}])


class Reassignments(Case):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.folder.cleanup()

    def plan(self, content):
        path = os.path.join(self.folder.name, "plan.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def moving(self, number):
        return {"topic": "orders", "partition": number, "replicas": [1, 2, 3], "adding": [3], "removing": [1], "isr": [1, 2]}

    def test_what_is_under_way(self):
        with FakeNode(lambda request: (200, {"reassignments": [self.moving(3)]})) as node:
            self.check(TROUPE.run("cluster", "reassign", "--url", node.url), 0,
                       "TOPIC   PARTITION  REPLICAS  ADDING  REMOVING  ISR\norders          3  1,2,3     3       1         1,2\n")
        with FakeNode(lambda request: (200, {"reassignments": []})) as node:
            self.check(TROUPE.run("cluster", "reassign", "--url", node.url), 0, "no partition is being reassigned\n")
            self.assertEqual(self.asked(node), [])

    def test_one_partition(self):
        with FakeNode(lambda request: (200, {"results": [self.moving(3)]})) as node:
            ran = TROUPE.run("cluster", "reassign", "-t", "orders", "-p", "3", "--replicas", "2,3", "--url", node.url)
            self.check(ran, 0, "TOPIC   PARTITION  REPLICAS  ADDING  REMOVING  RESULT\n"
                               "orders          3  1,2,3     3       1         under way\n")
            TROUPE.run("cluster", "reassign", "-t", "orders", "-p", "3", "--cancel", "--url", node.url)
            entry = {"topic": "orders", "partition": 3}
            self.assertEqual([body["reassignments"] for _, _, body in self.asked(node)],
                             [[{**entry, "replicas": [2, 3]}], [{**entry, "replicas": None}]])

    def test_a_plan_is_carried_out_and_watched(self):
        results = {"results": [self.moving(0), {"topic": "orders", "partition": 1, "replicas": [2, 1], "adding": [], "removing": []}]}
        other = {**self.moving(0), "topic": "else"}
        watched = [(200, {"reassignments": [other, self.moving(0)]}), CONTROLLER_AWAY, (200, {"reassignments": [other]})]
        plan = [{"topic": "orders", "partition": 0, "replicas": [2, 3]}, {"topic": "orders", "partition": 1, "replicas": [2, 1]}]
        # As Kafka's own tools write it, too.
        kafka = {"version": 1, "partitions": [{**each, "log_dirs": ["any", "any"]} for each in plan]}
        for content in ({"reassignments": plan}, kafka):
            answers = {"POST /v1/cluster/reassignments": [(200, results)], "GET /v1/cluster/reassignments": watched,
                       "GET /v1/cluster/partitions": [(200, {"partitions": [], "next": None})],
                       "GET /v1/cluster": [(200, {"brokers": [{"id": 3, "state": "up"}]})]}
            with FakeNode(script(**answers)) as node:
                ran = TROUPE.run("cluster", "reassign", "--file", self.plan(content), "--watch", "--url", node.url)
                self.check(ran, 0)
                self.assertEqual(ran.err, "troupe: 1 partition under way\n")
                self.assertIn(b"in place", ran.out)
                self.assertEqual(self.asked(node)[0][2], {"reassignments": plan})
        with FakeNode(lambda request: (200, results)) as node:
            ran = TROUPE.run("cluster", "reassign", "--file", "-", "--json", "--url", node.url, stdin=json.dumps(kafka).encode())
            self.check(ran, 0, json.dumps(results, separators=(",", ":")) + "\n")

    def test_the_last_table_is_that_of_the_end(self):
        begun, done = self.moving(0), {**self.moving(0), "replicas": [2, 3], "adding": [], "removing": [], "isr": [2, 3]}
        answers = {"POST /v1/cluster/reassignments": [(200, {"results": [begun]})],
                   "GET /v1/cluster/reassignments": [(200, {"reassignments": [begun]}), (200, {"reassignments": []})],
                   "GET /v1/cluster/partitions": [(200, {"partitions": [done], "next": None})],
                   "GET /v1/cluster": [(200, {"brokers": [{"id": 3, "state": "up"}]})]}
        with FakeNode(script(**answers)) as node:
            ran = TROUPE.run("cluster", "reassign", "-t", "orders", "-p", "0", "--replicas", "2,3", "--watch", "--url", node.url)
            self.check(ran, 0, "TOPIC   PARTITION  REPLICAS  ADDING  REMOVING  RESULT\n"
                               "orders          0  2,3       -       -         in place\n")
            self.assertEqual(ran.err, "troupe: 1 partition under way\n")

    def test_a_target_that_stays_down_ends_the_watch(self):
        begun = self.moving(0)
        answers = {"GET /v1/cluster/reassignments": [(200, {"reassignments": [begun]})],
                   "GET /v1/cluster/partitions": [(200, {"partitions": [begun], "next": None})],
                   "GET /v1/cluster": [(200, {"brokers": [{"id": 1, "state": "fenced"}, {"id": 3, "state": "fenced"}]})]}
        with FakeNode(script(**answers)) as node:
            ran = TROUPE.run("cluster", "reassign", "--watch", "--url", node.url)
            self.check(ran, 1)
            self.assertIn(b"under way", ran.out)
            self.assertIn("broker 3 is to get copies and is down: they are made when it is back", ran.err)

    def test_numbers_that_are_none(self):
        for command, said in ((("cluster", "drain", "two"), 'BROKER: a whole number from 0 to 2147483647 is wanted, not "two"'),
                              (("cluster", "drain", "x"), 'BROKER: a whole number from 0 to 2147483647 is wanted, not "x"'),
                              (("cluster", "partitions", "-n", "0"), 'a whole number from 1 to 2147483647 is wanted, not "0"'),
                              (("cluster", "partitions", "--broker", "99999999999"), 'is wanted, not "99999999999"'),
                              (("cluster", "reassign", "-t", "a", "-p", "0", "--replicas", "1,x"), 'is wanted, not "x"'),
                              (("topic", "create", "a", "-p", "many"), 'a number is wanted, not "many"')):
            self.check(TROUPE.run(*command), 2, "", said)

    def test_large_plans_go_in_pieces(self):
        plan = [{"topic": "orders", "partition": number, "replicas": [1]} for number in range(5001)]
        with FakeNode(lambda request: (200, {"results": request.json["reassignments"]})) as node:
            ran = TROUPE.run("cluster", "reassign", "--file", self.plan({"reassignments": plan}), "--json", "--url", node.url)
            self.assertEqual(json.loads(ran.out)["results"], plan)
            self.assertEqual([len(body["reassignments"]) for _, _, body in self.asked(node)], [5000, 1])

    def test_refused_entries_are_named(self):
        error = {"code": "bad_request", "message": "there is no broker 9"}
        results = {"results": [{"topic": "orders", "partition": 0, "error": error}]}
        with FakeNode(lambda request: (200, results)) as node:
            ran = TROUPE.run("cluster", "reassign", "-t", "orders", "-p", "0", "--replicas", "9", "--url", node.url)
            self.check(ran, 1)
            self.assertIn(b"there is no broker 9", ran.out)

    def test_everything_is_called_off(self):
        answers = {"GET /v1/cluster/reassignments": [(200, {"reassignments": [self.moving(1), self.moving(4)]})],
                   "POST /v1/cluster/reassignments": [(200, {"results": []})]}
        with FakeNode(script(**answers)) as node:
            self.check(TROUPE.run("cluster", "reassign", "--cancel", "--url", node.url), 0)
            self.assertEqual(self.asked(node)[0][2]["reassignments"], [{"topic": "orders", "partition": 1, "replicas": None},
                                                                       {"topic": "orders", "partition": 4, "replicas": None}])

    def test_a_plan_is_made(self):
        def answer(request):
            if request.path == "/v1/cluster":
                return CLUSTER
            return (200, {"partitions": [partition(0, [1, 2]), partition(1, [2, 1]), partition(2, [1, 2])], "next": None})
        with FakeNode(answer) as node:
            # Broker 2 is drained: it is left out unless it is named.
            ran = TROUPE.run("cluster", "reassign", "--generate", "--topics", "orders", "--url", node.url)
            self.check(ran, 0, err="3 of 3 partitions change, 3 copies move; `troupe cluster reassign --file PLAN` carries it out")
            plan = json.loads(ran.out)["reassignments"]
            self.assertEqual({tuple(sorted(each["replicas"])) for each in plan}, {(1, 3)})
            self.assertEqual(node.requests[-1].query["topic"], "orders")
            ran = TROUPE.run("cluster", "reassign", "--generate", "--brokers", "1,2", "--url", node.url)
            self.check(ran, 0, '{"reassignments":[]}\n', "0 of 3 partitions change, 0 copies move")
            self.check(TROUPE.run("cluster", "reassign", "--generate", "--brokers", "1", "--url", node.url), 1, "",
                       "has 2 replicas, and there are 1 brokers")
            self.check(TROUPE.run("cluster", "reassign", "--generate", "--brokers", "1,7", "--url", node.url), 3, "",
                       "there is no broker 7")
            self.assertEqual(self.asked(node), [])

    def test_no_plan_while_partitions_move(self):
        def answer(request):
            page = {"partitions": [partition(0, [1, 2, 3], adding=[3])], "next": None}
            return CLUSTER if request.path == "/v1/cluster" else (200, page)
        with FakeNode(answer) as node:
            self.check(TROUPE.run("cluster", "reassign", "--generate", "--url", node.url), 4, "", "being reassigned already")

    def test_what_makes_no_sense_is_not_asked(self):
        for command, err in ((["-t", "a"], "belong together"), (["-p", "1"], "belong together"),
                             (["-t", "a", "-p", "1"], "--replicas is missing"),
                             (["--replicas", "1"], "belongs to --topic"), (["--generate", "--watch"], "--generate prints a plan"),
                             (["--brokers", "1"], "belong to --generate"), (["-t", "a", "-p", "1", "--file", "x"], "name one partition"),
                             (["-t", "a", "-p", "1", "--replicas", "1", "--cancel"], "belongs to --topic")):
            self.check(TROUPE.run("cluster", "reassign", *command), 2, "", err)
        for content, err in (("hello", "is no plan"), ("[]", "is no plan"), ({"reassignments": []}, "is no plan"),
                             ({"reassignments": [{"topic": "a"}]}, "entry 0 has no topic"),
                             ({"reassignments": [1]}, "entry 0 has no topic")):
            self.check(TROUPE.run("cluster", "reassign", "--file", self.plan(content)), 2, "", err)
        self.check(TROUPE.run("cluster", "reassign", "--file", "/no/such/file"), 2, "", "cannot be read")


if __name__ == "__main__":
    unittest.main()
