#!/usr/bin/env python3
"""The commands that speak to a node, against one that answers from a script: what they ask, print and return.

    client_commands_test.py TROUPE
"""

import json
import socket
import sys
import threading
import unittest

from fake_node import FakeNode, Program, interrupt, text

TROUPE = Program(sys.argv.pop(1))
ORDERS = {"name": "orders", "id": "0a0a0000-0000-0000-0000-000000000000",
          "partitions": [{"p": 0, "leader": 1, "epoch": 3, "replicas": [1, 2], "isr": [1], "start": 10, "end": 20},
                         {"p": 1, "leader": 1, "epoch": 0, "replicas": [1, 2], "isr": [1, 2], "start": 0, "end": 5}],
          "config": {"retention.ms": "60000"}}
NOT_FOUND = (404, {"error_code": 40401, "message": "Topic not found.", "code": "unknown_topic"})


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Case(unittest.TestCase):
    maxDiff = None

    def check(self, ran, code, out=None, err=None):
        self.assertEqual(ran.code, code, ran)
        if out is not None:
            self.assertEqual(ran.out.decode(), out, ran)
        if err is not None:
            self.assertIn(err, ran.err, ran)
            self.assertTrue(all(line.startswith("troupe: ") for line in ran.err.splitlines()), ran)


class WithoutNode(Case):
    def test_nobody_listens(self):
        for command in (["topic", "list"], ["produce", "a"], ["consume", "a"], ["cluster", "status"], ["actor", "tree"]):
            ran = TROUPE.run(*command, "--url", f"http://127.0.0.1:{closed_port()}", stdin=b"x\n")
            self.check(ran, 6, "", "Connection refused; is `troupe serve` running there?")

    def test_a_node_that_does_not_answer(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self.check(TROUPE.run("topic", "list", "--url", url, "--timeout", "200ms"), 6, "", "within 200ms")

    def test_what_answers_is_no_node(self):
        def talk(listener, answer):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
        cases = ((b"SSH-2.0-OpenSSH\r\n\r\n", 1, "is not HTTP"),
                 (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", 6, "closed the connection before it answered whole"),
                 (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 1, "is not what a Troupe node answers"),
                 (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", 1, "is larger than 256MiB"),
                 (b"", 6, "closed the connection before it answered whole"))
        for answer, code, err in cases:
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                listener.listen()
                threading.Thread(target=talk, args=(listener, answer), daemon=True).start()
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                self.check(TROUPE.run("topic", "list", "--url", url), code, "", err)

    def test_wrong_addresses(self):
        for url, err in (("https://x", "https is not spoken yet"), ("ftp://x", "use http://HOST:PORT"), ("http://", "use http://HOST:PORT"),
                         ("localhost", "the port is missing"), ("http://x:0", "the port must be"), ("http://u@x", "use http"),
                         ("http://x/?a", "plain path"), ("http://x:99999", "the port must be"), ("http://[::1", "is missing")):
            self.check(TROUPE.run("topic", "list", "--url", url), 2, "", err)
        self.check(TROUPE.run("topic", "list", "--timeout", "soon"), 2, "", "expected a duration")

    def test_the_environment_names_the_node(self):
        with FakeNode(lambda request: (200, {"topics": []})) as node:
            self.check(TROUPE.run("topic", "list", TROUPE_URL=node.url + "/behind/proxy/"), 0)
            self.assertEqual(node.topics_asked(), [("GET", "/behind/proxy/v1/topics")])


class Topics(Case):
    def test_create(self):
        with FakeNode(lambda request: (201, ORDERS)) as node:
            ran = TROUPE.run("topic", "create", "orders", "-p", "3", "-r", "2", "-c", "retention.ms=60000", "-c", "a=b=c",
                             "--url", node.url)
            self.check(ran, 0, "orders created\n")
            self.assertEqual(node.topics_asked(), [("POST", "/v1/topics")])
            self.assertEqual(node.requests[0].json, {"name": "orders", "partitions": 3, "replication_factor": 2,
                                                     "config": {"retention.ms": "60000", "a": "b=c"}})

    def test_create_what_exists(self):
        with FakeNode(lambda request: (409, {"error_code": 40902, "message": "It exists."})) as node:
            self.check(TROUPE.run("topic", "create", "orders", "--url", node.url), 4, "", 'topic "orders": It exists. (HTTP 409)')
            self.check(TROUPE.run("topic", "create", "orders", "--if-not-exists", "--url", node.url), 0, "orders exists already\n")

    def test_several_are_a_table(self):
        def answer(request):
            return (400, {"error_code": 400, "message": "bad name"}) if request.json["name"] == "b/c" else (201, {})
        with FakeNode(answer) as node:
            ran = TROUPE.run("topic", "create", "a", "b/c", "d", "--url", node.url)
            self.check(ran, 1, "TOPIC  STATUS\na      created\nb/c    failed\nd      created\n", 'topic "b/c": bad name (HTTP 400)')
            ran = TROUPE.run("topic", "create", "a", "b/c", "--json", "--url", node.url)
            self.assertEqual([row["ok"] for row in json.loads(ran.out)], [True, False])

    def test_list(self):
        orders = {"name": "orders", "id": "0a0a", "partition_count": 12, "internal": False}
        offsets = {"name": "__offsets", "id": "0b0b", "partition_count": 16, "internal": True}
        for body in ({"topics": [orders, offsets]}, [orders, offsets]):
            with FakeNode(lambda request, body=body: (200, body)) as node:
                self.check(TROUPE.run("topic", "list", "--url", node.url), 0, "TOPIC   PARTITIONS  ID\norders          12  0a0a\n")
                self.check(TROUPE.run("topic", "list", "-q", "--internal", "--url", node.url), 0, "orders\n__offsets\n")
                self.assertEqual(json.loads(TROUPE.run("topic", "list", "--json", "--url", node.url).out), [orders])

    def test_describe(self):
        with FakeNode(lambda request: (200, ORDERS)) as node:
            ran = TROUPE.run("topic", "describe", "orders", "--url", node.url)
            self.check(ran, 0, "orders  0a0a0000-0000-0000-0000-000000000000\n"
                               "PARTITION  LEADER  EPOCH  REPLICAS  ISR  START  END\n"
                               "        0       1      3  1,2       1       10   20\n"
                               "        1       1      0  1,2       1,2      0    5\n"
                               "SETTING       VALUE\n"
                               "retention.ms  60000\n")

    def test_a_name_that_is_nearly_right(self):
        def answer(request):
            return (200, {"topics": [ORDERS]}) if request.path == "/v1/topics" else NOT_FOUND
        with FakeNode(answer) as node:
            err = 'topic "ordres" not found (did you mean "orders"?)'
            for command in (["topic", "describe"], ["consume"], ["produce"], ["topic", "delete", "--yes"], ["topic", "alter", "-p", "2"]):
                self.check(TROUPE.run(*command, "ordres", "--url", node.url, stdin=b"x\n"), 3, "", err)
            self.check(TROUPE.run("topic", "describe", "else", "--url", node.url), 3, "", "`troupe topic list` shows what there is")

    def test_a_partition_that_is_not_there_is_no_unknown_topic(self):
        with FakeNode(lambda request: (404, {"error_code": 40402, "message": "Partition not found: 7"})) as node:
            self.check(TROUPE.run("produce", "orders", "-p", "7", "--url", node.url, stdin=b"x\n"), 3, "",
                       'record 1: topic "orders": Partition not found: 7 (HTTP 404)')

    def test_names_are_encoded(self):
        with FakeNode(lambda request: NOT_FOUND) as node:
            for name, path in (("a/../b", "a%2F..%2Fb"), ("..", "%2E%2E"), ("ä b?", "%C3%A4%20b%3F")):
                TROUPE.run("topic", "describe", name, "--url", node.url)
                self.assertIn(("GET", "/v1/topics/" + path), node.topics_asked())

    def test_alter(self):
        with FakeNode(lambda request: (200, ORDERS)) as node:
            ran = TROUPE.run("topic", "alter", "orders", "-p", "4", "-c", "a=1", "-u", "b", "--url", node.url)
            self.check(ran, 0, "orders altered\n")
            self.assertEqual(node.requests[0].method, "PATCH")
            self.assertEqual(node.requests[0].json, {"partitions": 4, "config": {"a": "1", "b": None}})
            self.check(TROUPE.run("topic", "alter", "orders", "--url", node.url), 2, "", "nothing to alter")
            self.check(TROUPE.run("topic", "alter", "orders", "-c", "a", "--url", node.url), 2, "", "expected NAME=VALUE")

    def test_delete_asks_first(self):
        with FakeNode(lambda request: (204, b"")) as node:
            self.check(TROUPE.run("topic", "delete", "orders", "--url", node.url), 2, "", "needs --yes")
            self.assertEqual(node.requests, [])
            self.check(TROUPE.run("topic", "delete", "orders", "--yes", "--url", node.url), 0, "orders deleted\n")

    def test_refusals_have_exit_codes(self):
        for status, code in ((400, 1), (401, 5), (403, 5), (404, 3), (409, 4), (421, 5), (500, 1), (503, 6), (507, 1)):
            with FakeNode(lambda request, status=status: (status, {"error_code": status, "message": "why"})) as node:
                self.check(TROUPE.run("topic", "list", "--url", node.url), code, "", f"why (HTTP {status})")

    def test_what_a_node_says_drives_no_terminal(self):
        with FakeNode(lambda request: (400, {"message": "\x1b[31mred\n"})) as node:
            self.check(TROUPE.run("topic", "list", "--url", node.url), 1, "", "\\u001b[31mred\\u000a (HTTP 400)")


class Produce(Case):
    @staticmethod
    def accept(request):
        return 200, {"results": [{"p": 0, "o": i, "ts": 5, "dup": False} for i in range(len(request.json["records"]))]}

    def test_a_record_a_line(self):
        with FakeNode(self.accept) as node:
            ran = TROUPE.run("produce", "chat", "--url", node.url, stdin=b'{"a": 1}\nplain\n\n\xff\x00')
            self.check(ran, 0, "", "troupe: 4 records to chat")
            self.assertEqual(node.requests[0].target, "/v1/topics/chat/records")
            self.assertEqual(node.requests[0].json["acks"], "quorum")
            records = [record for request in node.requests for record in request.json["records"]]
            self.assertEqual([text(record["vb"]) for record in records], [b'{"a": 1}', b"plain", b"", b"\xff\x00"])
            self.assertTrue(all(set(record) == {"vb"} for record in records))

    def test_keys_headers_and_partitions(self):
        with FakeNode(self.accept) as node:
            TROUPE.run("produce", "chat", "-k", "ä\"", "-H", "a=1", "-H", "b=x=y", "-p", "2", "--acks", "leader", "--url", node.url,
                       stdin=b"v\n")
            self.assertEqual(node.requests[0].json, {"acks": "leader", "records": [
                {"vb": "dg==", "key": "ä\"", "headers": {"a": "1", "b": "x=y"}, "partition": 2}]})
            TROUPE.run("produce", "chat", "-H", "a=1", "-H", "a=2", "--url", node.url, stdin=b"v\n")
            self.assertEqual(node.requests[1].json["records"][0]["hb"], [["a", "MQ=="], ["a", "Mg=="]])
            self.check(TROUPE.run("produce", "chat", "-H", "a", "--url", node.url), 2, "", "expected NAME=VALUE")
            self.check(TROUPE.run("produce", "chat", "-k", "a", "-K", ":", "--url", node.url), 2, "", "exclude each other")

    def test_keys_in_the_lines(self):
        with FakeNode(self.accept) as node:
            self.check(TROUPE.run("produce", "chat", "-K", "::", "--url", node.url, stdin=b"ana::hi\n\xff::::x\n"), 0)
            records = [record for request in node.requests for record in request.json["records"]]
            self.assertEqual(records, [{"vb": "aGk=", "key": "ana"}, {"vb": "Ojp4", "kb": "/w=="}])

    def test_a_line_without_key_ends_it_after_what_came_before(self):
        with FakeNode(self.accept) as node:
            ran = TROUPE.run("produce", "chat", "-K", ":", "--url", node.url, stdin=b"a:1\nb:2\nno key\nc:3\n")
            self.check(ran, 1, "", 'line 3: no key: ":" is not in it')
            self.assertIn("2 records to chat", ran.err)
            self.assertEqual(sum(len(request.json["records"]) for request in node.requests), 2)

    def test_many_lines_go_in_batches_over_one_connection(self):
        with FakeNode(self.accept) as node:
            ran = TROUPE.run("produce", "chat", "--url", node.url, stdin=b"".join(b"%d\n" % i for i in range(5500)))
            self.check(ran, 0, "", "5500 records to chat")
            values = [int(text(record["vb"])) for request in node.requests for record in request.json["records"]]
            self.assertEqual(values, list(range(5500)))
            self.assertLessEqual(max(len(request.json["records"]) for request in node.requests), 1000)
            self.assertEqual(len({request.client for request in node.requests}), 1)

    def test_large_lines_go_alone(self):
        with FakeNode(self.accept) as node:
            self.check(TROUPE.run("produce", "chat", "--url", node.url, stdin=(b"x" * 900_000 + b"\n") * 3), 0)
            self.assertEqual([len(request.json["records"]) for request in node.requests], [1, 1, 1])

    def test_a_line_is_sent_before_the_next_is_there(self):
        with FakeNode(self.accept) as node:
            process = TROUPE.start("produce", "chat", "--json", "--url", node.url)
            for number in range(3):
                process.stdin.write(b"line\n")
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline())["o"], 0)
                self.assertEqual(len(node.requests), number + 1)
            out, _ = process.communicate(timeout=30)
            self.assertEqual((process.returncode, out), (0, b""))

    def test_refused_records_are_named(self):
        def answer(request):
            refused = {"err": {"code": "too_large", "num": 413, "msg": "too large"}}
            return 200, {"results": [refused if record["vb"] == "Yg==" else {"p": 0, "o": 1} for record in request.json["records"]]}
        with FakeNode(answer) as node:
            ran = TROUPE.run("produce", "chat", "--url", node.url, stdin=b"a\nb\nc")
            self.check(ran, 1, "", "troupe: record 2: too large\n")
            self.assertIn("troupe: 2 records to chat\n", ran.err)

    def test_a_refused_request_ends_it(self):
        with FakeNode(lambda request: (507, {"message": "disk full"})) as node:
            ran = TROUPE.run("produce", "chat", "--url", node.url, stdin=b"a\nb\n" * 2000)
            self.check(ran, 1, "", "records 1 to 1000: topic \"chat\": disk full (HTTP 507)")
            self.assertEqual(len(node.requests), 1)

    def test_no_answer_means_an_unknown_outcome(self):
        with FakeNode(lambda request: None) as node:
            ran = TROUPE.run("produce", "chat", "--url", node.url, stdin=b"a\n")
            self.check(ran, 6, "", "record 1: 127.0.0.1")
            self.assertIn("these records may have been written, or not", ran.err)
            self.assertEqual(len(node.requests), 1)  # never twice

    def test_a_node_that_closed_meanwhile_is_asked_anew(self):
        def answer(request):
            return self.accept(request)
        with FakeNode(answer) as node:
            process = TROUPE.start("produce", "chat", "--json", "--url", node.url)
            process.stdin.write(b"a\n")
            process.stdin.flush()
            process.stdout.readline()
            # The connection's thread ends with its socket.
            node.close_kept_connections()
            process.stdin.write(b"b\n")
            out, err = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 0, err)
            self.assertEqual(len(out.splitlines()), 1)
            self.assertEqual(len({request.client for request in node.requests}), 2)

    def test_a_tombstone(self):
        with FakeNode(self.accept) as node:
            self.check(TROUPE.run("produce", "chat", "--tombstone", "-k", "ana", "--url", node.url, stdin=b"not read\n"), 0)
            self.assertEqual(node.requests[0].json["records"], [{"value": None, "key": "ana"}])
            self.check(TROUPE.run("produce", "chat", "--tombstone", "--url", node.url), 2, "", "needs --key")

    def test_a_file(self):
        with FakeNode(self.accept) as node:
            self.check(TROUPE.run("produce", "chat", "/no/such/file", "--url", node.url), 3, "", "No such file or directory")
            self.check(TROUPE.run("produce", "chat", "/", "--url", node.url), 1, "", "Is a directory")
            self.check(TROUPE.run("produce", "chat", "/dev/null", "--url", node.url), 0, "", "0 records to chat")


def page(values, cursor, end):
    records = [{"p": 0, "o": i, "ts": 1000 + i, "k": None, **value} for i, value in enumerate(values)]
    return 200, {"records": records, "cursor": cursor, "end": end}


class Consume(Case):
    VALUES = ({"v": {"a": 1}}, {"v": "text", "k": "key"}, {"vb": "/wA="}, {"v": None, "del": True, "h": {"x": "y"}})

    def test_values_a_line(self):
        with FakeNode(lambda request: page(self.VALUES, "c1", True)) as node:
            ran = TROUPE.run("consume", "chat", "-e", "--url", node.url)
            self.assertEqual((ran.code, ran.out, ran.err), (0, b'{"a": 1}\ntext\n\xff\x00\nnull\n', ""), ran)
            self.assertEqual(node.requests[0].path, "/v1/topics/chat/records")
            self.assertEqual(node.requests[0].query, {"from": "earliest", "limit": "1000"})

    def test_formats(self):
        with FakeNode(lambda request: page(self.VALUES[1:2] + self.VALUES[3:], "c1", True)) as node:
            ran = TROUPE.run("consume", "chat", "-e", "-f", "%t[%p]@%o %T %k=%v %h%%\\t\\\\\\n", "--url", node.url)
            self.check(ran, 0, 'chat[0]@0 1000 key=text {}%\t\\\nchat[0]@1 1001 null=null {"x": "y"}%\t\\\n')
            for wrong in ("%x", "%", "\\q", "\\"):
                self.check(TROUPE.run("consume", "chat", "-f", wrong, "--url", node.url), 2, "", "means nothing")

    def test_json_is_what_the_node_said(self):
        record = b'{"p":0,"o":7,"ts":1,"k":null,"v":{"big":123456789012345678901234567890,\n "f":1.10, "e":1e400, "s":"a\\nb,]}"}}'
        with FakeNode(lambda request: (200, b'{"records":[' + record + b', ' + record + b'],"cursor":"c","end":true}')) as node:
            ran = TROUPE.run("consume", "chat", "-e", "--json", "--url", node.url)
            self.assertEqual(ran.out, (record.replace(b"\n", b" ") + b"\n") * 2, ran)
            ran = TROUPE.run("consume", "chat", "-e", "-n", "1", "--url", node.url)
            self.assertIn(b'{"big":123456789012345678901234567890,  "f":1.10, "e":1e400, "s":"a\\nb,]}"}\n', ran.out)

    def test_pages_go_on_by_cursor_until_the_end(self):
        pages = {"": page(self.VALUES[:2], "c/1", False), "c/1": page([], "c2", False), "c2": page(self.VALUES[:1], "c3", True)}
        with FakeNode(lambda request: pages[request.query.get("cursor", "")]) as node:
            ran = TROUPE.run("consume", "chat", "-e", "--url", node.url)
            self.check(ran, 0, '{"a": 1}\ntext\n{"a": 1}\n')
            self.assertEqual([request.query.get("cursor") for request in node.requests], [None, "c/1", "c2"])
            self.assertEqual(len({request.client for request in node.requests}), 1)

    def test_a_count_ends_it(self):
        def answer(request):
            return page([{"v": 1}] * min(2, int(request.query["limit"])), "c", False)
        with FakeNode(answer) as node:
            self.check(TROUPE.run("consume", "chat", "-n", "3", "--url", node.url), 0, "1\n1\n1\n")
            self.assertEqual([(request.query["limit"], request.query["wait"]) for request in node.requests],
                             [("3", "20000"), ("1", "20000")])
            self.check(TROUPE.run("consume", "chat", "-n", "0", "--url", node.url), 2, "", "expected 1 or more")

    def test_where_to_begin(self):
        def answer(request):
            return (200, ORDERS) if request.path == "/v1/topics/chat" else page([], "c", True)
        cases = {"start": "earliest", "end": "latest", "-5": "last:5", "+3": "offset:0:13,1:3", "+100": "offset:0:20,1:5",
                 "7": "offset:0:10,1:5", "15": "offset:0:15,1:5", "@1764000000123": "time:1764000000123",
                 "@2026-01-31": "time:2026-01-31T00:00:00Z", "@2026-01-31T12:00": "time:2026-01-31T12:00:00Z",
                 "@2026-01-31T12:00:00+01:00": "time:2026-01-31T12:00:00+01:00", "@-5m": "ago:300000ms"}
        for offset, start in cases.items():
            with FakeNode(answer) as node:
                self.check(TROUPE.run("consume", "chat", "-e", "-o", offset, "-k", "a&b", "--url", node.url), 0, "")
                self.assertEqual(node.requests[-1].query, {"from": start, "limit": "1000", "key": "a&b"}, offset)
        for wrong in ("", "begin", "--5", "+-1", "@", "@-5", "1.5", "99999999999999999999"):
            ran = TROUPE.run("consume", "chat", "-o", wrong) if wrong != "@-5" else TROUPE.run("consume", "chat", "-o", "@-5x")
            self.check(ran, 2, "", "expected start, end")

    def test_some_partitions(self):
        with FakeNode(lambda request: page(self.VALUES[:1], "c", True)) as node:
            self.check(TROUPE.run("consume", "chat", "-e", "-p", "0,3", "--url", node.url), 0, '{"a": 1}\n')
            self.assertEqual(node.requests[0].query, {"from": "earliest", "limit": "1000", "partitions": "0,3"})
            self.check(TROUPE.run("consume", "chat", "-p", "a", "--url", node.url), 2, "", "as in 0,3")
            self.check(TROUPE.run("consume", "chat", "-p", "1", "-k", "ana", "--url", node.url), 2, "", "exclude each other")

    def test_a_gap_is_said(self):
        body = {**page(self.VALUES[:1], "c", True)[1], "gaps": [{"p": 1, "from": 5, "to": 9}]}
        with FakeNode(lambda request: (200, body)) as node:
            self.check(TROUPE.run("consume", "chat", "-e", "--url", node.url), 0, '{"a": 1}\n',
                       "partition 1: the records from offset 5 up to 9 no longer exist")

    def test_a_cursor_goes_on(self):
        with FakeNode(lambda request: page([], "c2", True)) as node:
            self.check(TROUPE.run("consume", "chat", "-e", "--cursor", "c1", "--url", node.url), 0, "")
            self.assertEqual(node.requests[0].query, {"cursor": "c1", "limit": "1000"})

    def test_an_interruption_says_where_to_go_on(self):
        held = threading.Event()
        asked = threading.Event()

        def answer(request):
            if "cursor" not in request.query:
                return page(self.VALUES[:2], "c1", True)
            asked.set()
            held.wait(30)
            return None
        with FakeNode(answer) as node:
            process = TROUPE.start("consume", "chat", "--url", node.url)
            self.assertEqual(process.stdout.readline(), b'{"a": 1}\n')
            self.assertTrue(asked.wait(30))
            interrupt(process)
            _, err = process.communicate(timeout=30)
            held.set()
            self.assertEqual((process.returncode, err.decode()), (130, "troupe: 2 records; go on with --cursor c1\n"))

    def test_a_node_that_goes_away_is_waited_for(self):
        answers = [page(self.VALUES[:1], "c1", True), None, None, (503, {"message": "starting"}), page(self.VALUES[1:2], "c2", True)]
        with FakeNode(lambda request: answers[len(node.requests) - 1]) as node:
            ran = TROUPE.run("consume", "chat", "-n", "2", "--url", node.url)
            self.check(ran, 0, '{"a": 1}\ntext\n')
            self.assertEqual([request.query.get("cursor") for request in node.requests], [None, "c1", "c1", "c1", "c1"])

    def test_another_node_is_asked_when_one_is_gone(self):
        pages = [page(self.VALUES[:1], "c1", True)]
        with FakeNode(lambda request: pages.pop() if pages else None) as one, \
                FakeNode(lambda request: page(self.VALUES[1:2], "c2", True)) as two:
            ran = TROUPE.run("consume", "chat", "-n", "2", "--url", f"127.0.0.1:1,{one.url},{two.url}")
            self.check(ran, 0, '{"a": 1}\ntext\n')
            self.assertEqual([request.query.get("cursor") for request in two.requests], ["c1"])
            ran = TROUPE.run("consume", "chat", "-n", "2", "--url", f"{one.url},,{two.url}")
            self.check(ran, 2, "", "is no address of a node")

    def test_a_reader_that_has_seen_enough_ends_it(self):
        with FakeNode(lambda request: page([{"v": "x" * 1000}] * 100, "c", False)) as node:
            process = TROUPE.start("consume", "chat", "--url", node.url)
            process.stdout.readline()
            process.stdout.close()
            self.assertEqual(process.wait(timeout=30), 0)
            process.stdin.close()
            process.stderr.close()

    def test_nonsense_from_a_node(self):
        for body, err in ((b"[]", "is not what a Troupe node answers there"),
                          (b'{"records":[{"v":1}],"cursor":"c"}', "a record without offset"),
                          (b'{"records":[{"o":1,"vb":"?"}],"cursor":"c"}', "is no base64"), (b'{"records":[]}', "is not what a"),
                          (b'{"records":[{"o":1,"vb":[1]}],"cursor":"c"}', "is no base64"), (b'{"records":', "is not what a"),
                          (b'{"records":[{"o":1,"v":"\\q"}],"cursor":"c"}', "is no JSON")):
            with FakeNode(lambda request, body=body: (200, body)) as node:
                ran = TROUPE.run("consume", "chat", "-e", "--url", node.url)
                self.assertEqual(ran.code, 1, ran)
                self.assertIn(err, ran.err)


if __name__ == "__main__":
    unittest.main()
