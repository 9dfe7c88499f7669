#!/usr/bin/env python3
"""Requests that are whole and wrong: reliability.md 4.4, rows 50 to 69 and 78, and the shapes of rest-api.md B6 1 to 10.

    rest_input_test.py PROGRAM        environment: TROUPE_SEED

What is refused writes nothing: at the end every topic holds exactly what was accepted.
"""

import base64
import json
import os
import sys

from node_process import NodeProcess, fresh_folder
from rest_tables import ACCEPTED_VALUES, BODIES, CREATES, HOSTILE_PATHS, JSON_V2, NAMES, ORIGINS, READS
from wire import Table, ask, converse, request, seeded

BINARY = "Content-Type: application/vnd.kafka.binary.v2+json"
TEXT = "Content-Type: application/vnd.kafka.text.v2+json"
V1 = "Content-Type: application/json"


def describe(answer):
    return f"{answer.status} {answer.body[:200]!r}"


def is_error(answer, statuses, code=None, words=()):
    """An error of the right status, in the one shape that errors have, that gives nothing of the request back as markup."""
    if answer.status not in statuses:
        return False
    body = answer.json()
    v1 = answer.field("content-type").startswith("application/json")
    shaped = (isinstance(body.get("error_code"), int) and isinstance(body.get("message"), str) and 5 < len(body["message"]) < 700 and
              set(body) == ({"error_code", "message", "code"} if v1 else {"error_code", "message"}) and
              answer.field("content-type") in ("application/json; charset=utf-8", "application/vnd.kafka.v2+json") and
              answer.field("x-content-type-options") == "nosniff" and
              not any(ord(character) < 32 or ord(character) > 126 for character in body["message"]))
    return (shaped and (code is None or body["error_code"] == code or (isinstance(code, tuple) and body["error_code"] in code)) and
            all(word.lower() in body["message"].lower() for word in words))


def v2(records, **more):
    return json.dumps({"records": records, **more})


def check_bodies(table, port):
    for row, what, headers, body, statuses, code, words in BODIES:
        for path in ("/topics/t", "/v1/topics/t/records"):
            if path.startswith("/v1"):
                # A v1 record may stand alone; what is v2's own stays there.
                if headers is not JSON_V2 or row not in (51, 52, 54, 64):
                    continue
                headers = [V1]
            answer = ask(port, "POST", path, headers, body)
            table.check(row, f"{what} to {path}", is_error(answer, statuses, code, words), describe(answer))
    for row, what, headers, record in ACCEPTED_VALUES:
        answer = ask(port, "POST", "/topics/good", headers, b'{"records":[' + record + b"]}")
        table.check(row, what, answer.status == 200, describe(answer))


def check_values_come_back(table, node):
    """Row 53: what was written is what is read, to the byte."""
    port = node.port
    node.call("POST", "/v1/topics", {"name": "values"})
    written = []
    for text in ('9007199254740993', '-9223372036854775808', '18446744073709551615', '1e300', '"\\u0000"', '""', 'null', 'true',
                 '[]', '{}', '"<\\/script>"', '{"a":{"b":[1,2,{"c":null}]}}', '"\U0001f600"', '"\\ud83d\\ude00"', '0.1', '-0', '1.0'):
        answer = ask(port, "POST", "/topics/values", JSON_V2, f'{{"records":[{{"value":{text}}}]}}')
        table.check(53, f"{text} is taken", answer.status == 200, describe(answer))
        written.append(text)
    page = ask(port, "GET", "/v1/topics/values/records?limit=100&from=earliest")
    read = page.json()["records"] if page.status == 200 else []
    table.check(53, "all are there", len(read) == len(written), f"{len(read)} of {len(written)}")
    for text, record in zip(written, read):
        value = record.get("v") if not record.get("del") else None
        table.check(53, f"{text} comes back", value == json.loads(text) and isinstance(value, type(json.loads(text))), str(record))
    table.check(53, "no number was rounded", b"9007199254740993" in page.body and b"18446744073709551615" in page.body, describe(page))
    large = "x" * ((1 << 20) - 100)
    every = bytes(range(256))
    for what, headers, value, back in [
            ("nearly 1 MiB", JSON_V2, large, large),
            ("every byte", [BINARY], base64.b64encode(every).decode(), every),
            ("text", [TEXT], "naïve ☃", "naïve ☃")]:
        answer = ask(port, "POST", "/topics/values", headers, v2([{"value": value}]))
        offset = answer.json()["offsets"][0]["offset"] if answer.status == 200 else -1
        read = ask(port, "GET", f"/v1/topics/values/partitions/0/records?offset={offset}&limit=1")
        record = read.json()["records"][0] if read.status == 200 else {}
        got = base64.b64decode(record["vb"]) if "vb" in record else record.get("v")
        table.check("B6.1", what, got == back, f"{describe(answer)} {describe(read)}")


def check_conformance(table, node):
    """rest-api.md B6, 2 to 10: what a client of Confluent's proxy sees."""
    port = node.port
    node.call("POST", "/v1/topics", {"name": "b6", "partitions": 3})
    answer = ask(port, "POST", "/topics/b6", JSON_V2, '{"records":[{"value":1,"partition":0},{"key":null,"value":2,"partition":0},'
                                                      '{"key":"","value":3,"partition":0}]}')
    offsets = answer.json()["offsets"]
    table.check("B6.3", "four fields, nulls written, in order", answer.status == 200 and offsets == [
        {"partition": 0, "offset": i, "error_code": None, "error": None} for i in range(3)], describe(answer))
    table.check("B6.3", "the schema ids", answer.json().get("key_schema_id", 0) is None and answer.json().get("value_schema_id", 0) is None,
                describe(answer))
    table.check("B6.6", "the answer's type", answer.field("content-type").startswith("application/vnd.kafka.v2+json"),
                answer.field("content-type"))
    keys = [record.get("k") for record in node.read_all("b6")[0]]
    table.check("B6.2", "absent, null and empty keys", keys == [None, None, ""], str(keys))
    answer = ask(port, "POST", "/topics/b6/partitions/2", JSON_V2, v2([{"value": 1}, {"value": 2, "partition": 1}]))
    table.check("B6.4", "the record's partition wins", [one["partition"] for one in answer.json().get("offsets", [])] == [2, 1],
                describe(answer))
    answer = ask(port, "POST", "/topics/b6/partitions/3", JSON_V2, v2([{"value": 1}]))
    table.check("B6.4", "a partition that is not there, in the path", is_error(answer, {404}, 40402), describe(answer))
    answer = ask(port, "POST", "/topics/b6", JSON_V2, v2([{"value": 1, "partition": 1}, {"value": 2, "partition": 9}]))
    mixed = answer.json().get("offsets", [])
    table.check("B6.8", "one of two fails", answer.status == 200 and mixed[0]["error_code"] is None and mixed[1] == {
        "partition": None, "offset": None, "error_code": 40402, "error": mixed[1]["error"]} and mixed[1]["error"], describe(answer))
    for what, headers, status in [("application/json", [V1], 415), ("another Accept", [*JSON_V2, "Accept: application/json"], 406),
                                  ("no Content-Type", [], 415), ("another charset", [JSON_V2[0] + "; charset=utf-16"], 400),
                                  ("avro", ["Content-Type: application/vnd.kafka.avro.v2+json"], 415)]:
        answer = ask(port, "POST", "/topics/b6", headers, v2([{"value": 1}]))
        table.check("B6.6", what, is_error(answer, {status}, status), describe(answer))
    first, again = (ask(port, "POST", "/topics/b6", [*JSON_V2, "Idempotency-Key: one"], v2([{"key": "k", "value": 1}])) for _ in range(2))
    table.check("B6.9", "one write, the same answer", first.status == 200 and first.body == again.body,
                f"{describe(first)} {describe(again)}")
    # Kafka's partitioner over three partitions: murmur2(key) & 0x7fffffff mod 3, from Kafka's own test vectors.
    vectors = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
               "a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971}
    for key, murmur in vectors.items():
        answer = ask(port, "POST", "/topics/b6", JSON_V2, v2([{"key": key, "value": 1}]))
        table.check("B6.10", key, answer.json()["offsets"][0]["partition"] == (murmur & 0x7fffffff) % 3, describe(answer))
    counts = {p: len(records) for p, records in node.read_all("b6").items()}
    table.check("B6.5", "nothing else was written", sum(counts.values()) == 3 + 2 + 1 + 1 + len(vectors), str(counts))


def check_names(table, node):
    """Rows 57 to 60: names and numbers of topics."""
    port = node.port
    before = sorted(os.listdir(os.path.join(node.folder, "data")))
    for name in NAMES:
        answer = ask(port, "POST", "/v1/topics", [V1], json.dumps({"name": name}))
        table.check(57, f"create {name[:30]!r}", is_error(answer, {400}, (400, 40002)), describe(answer))
    for path in ("%2e%2e", "..%2f..%2fetc", "a%00b", "%C3%A9", "a%20b", "a" * 250, "%2e", "a%5cb", "%ff", "%zz", "%"):
        for method, suffix in (("GET", ""), ("POST", ""), ("GET", "/partitions"), ("DELETE", "")):
            prefix = "/v1/topics/" if method == "DELETE" else "/topics/"
            answer = ask(port, method, prefix + path + suffix, JSON_V2 if method == "POST" else (),
                         '{"records":[{"value":1}]}' if method == "POST" else None)
            table.check(57, f"{method} {path[:30]}{suffix}", is_error(answer, {400, 404}), describe(answer))
    answer = ask(port, "POST", "/v1/topics", [V1], json.dumps({"name": "__consumer_offsets"}))
    table.check(57, "create __consumer_offsets", is_error(answer, {400, 403}), describe(answer))
    answer = ask(port, "POST", "/topics/__consumer_offsets", JSON_V2, '{"records":[{"value":1}]}')
    table.check(57, "write __consumer_offsets", is_error(answer, {403}, 40301), describe(answer))
    table.check(57, "the longest name", ask(port, "POST", "/v1/topics", [V1], json.dumps({"name": "a" * 249})).status == 201)
    table.check(57, "nothing odd on the disk", sorted(os.listdir(os.path.join(node.folder, "data"))) == before)
    node.call("POST", "/v1/topics", {"name": "a_b"})
    answer = ask(port, "POST", "/v1/topics", [V1], '{"name":"a.b"}')
    table.check(58, "a.b beside a_b", is_error(answer, {400}, 40002), describe(answer))
    for what, method, path, body in [("produce", "POST", "/topics/none", '{"records":[{"value":1}]}'),
                                     ("describe", "GET", "/topics/none", None),
                                     ("partitions", "GET", "/topics/none/partitions", None),
                                     ("read", "GET", "/v1/topics/none/records", None),
                                     ("a long poll", "GET", "/v1/topics/none/records?wait=30000", None),
                                     ("a key", "GET", "/v1/topics/none/keys/a", None), ("events", "GET", "/v1/topics/none/events", None),
                                     ("delete", "DELETE", "/v1/topics/none", None)]:
        talk = converse(port, [request(method, path, JSON_V2 if body else ["Connection: close"], body)], probe_after=1)
        table.check(59, what, bool(talk.answers) and is_error(talk.answers[0], {404}, 40401) and talk.seconds < 2, str(talk))
    for what, body, code, words in CREATES:
        answer = ask(port, "POST", "/v1/topics", [V1], body)
        table.check(60, what, is_error(answer, {400, 409, 422}, code, words), describe(answer))
    listed = [topic for topic in ask(port, "GET", "/topics").json()]
    table.check(60, "only what was accepted is there", sorted(listed) == sorted(["t", "good", "values", "b6", "a_b", "a" * 249]),
                str(listed))


def check_reads(table, node, randomness):
    """Rows 61 to 63: positions, bounds and cursors."""
    port = node.port
    node.call("POST", "/v1/topics", {"name": "read", "partitions": 2})
    for i in range(20):
        node.call("POST", "/v1/topics/read/records", {"records": [{"value": i, "partition": i % 2}]})
    node.call("DELETE", "/v1/topics/read/partitions/0/records?before=4")
    for row, what, path, status, words in READS:
        answer = ask(port, "GET", path)
        holds = answer.status == 200 if status == 200 else is_error(answer, {status}, None, words)
        table.check(row, what, holds, describe(answer))
    answer = ask(port, "GET", "/v1/topics/read/records?from=earliest&max_bytes=1")
    table.check(62, "max_bytes=1 gives one record", answer.status == 200 and len(answer.json()["records"]) == 1, describe(answer))
    answer = ask(port, "GET", "/v1/topics/read/records?from=earliest&limit=999999999&wait=999999999")
    table.check(62, "a huge limit and wait", answer.status == 200 and len(answer.json()["records"]) == 16, describe(answer))
    cursor = ask(port, "GET", "/v1/topics/read/records?from=earliest&limit=1").json()["cursor"]
    other = ask(port, "GET", "/v1/topics/b6/records?from=earliest&limit=1").json()["cursor"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    forged = ["", "x", "....", "AAAA", "%00", "a b", cursor + "=", cursor + "A", other, "A" * 7000, cursor * 50, "-" * 400]
    for text in forged:
        answer = ask(port, "GET", f"/v1/topics/read/records?cursor={text.replace(' ', '%20')}")
        table.check(63, f"cursor {text[:40]}", is_error(answer, {400}), describe(answer))
    cuts = range(1, len(cursor))
    refused = sum(is_error(ask(port, "GET", f"/v1/topics/read/records?cursor={cursor[:cut]}"), {400}) for cut in cuts)
    table.check(63, "every cut cursor is refused", refused == len(cuts), f"{refused} of {len(cuts)} are")
    for _ in range(300):
        letters = list(cursor)
        for _ in range(randomness.randint(1, 4)):
            letters[randomness.randrange(len(letters))] = randomness.choice(alphabet)
        answer = ask(port, "GET", f"/v1/topics/read/records?cursor={''.join(letters)}")
        holds = is_error(answer, {400}) or "".join(letters) == cursor
        table.check(63, "letters changed", holds, f"{''.join(letters)}: {describe(answer)}")


def check_browsers(table, node):
    """Rows 64 to 67: what a foreign page can make a browser send."""
    port = node.port
    body = '{"records":[{"value":"from evil"}]}'
    for what, headers in ORIGINS:
        for method, path, content in [("POST", "/topics/good", body), ("POST", "/v1/topics/good/records", body),
                                      ("DELETE", "/v1/topics/good", None), ("PATCH", "/v1/topics/good", '{"partitions":9}'),
                                      ("POST", "/v1/topics", '{"name":"evil"}'), ("GET", "/v1/topics/good/events", None)]:
            kind = (JSON_V2 if path.startswith("/topics") else [V1]) if content else []
            answer = ask(port, method, path, [*kind, *headers], content)
            quiet = not any(name.startswith("access-control") for name in answer.fields)
            table.check(65, f"{what}: {method} {path}", is_error(answer, {403}, 40301) and quiet, describe(answer))
        answer = ask(port, "OPTIONS", "/topics/good", [*headers, "Access-Control-Request-Method: POST"])
        quiet = not any(name.startswith("access-control") for name in answer.fields)
        table.check(66, f"{what}: preflight", answer.status == 403 and quiet, describe(answer))
    own = ask(port, "POST", "/topics/good", [*JSON_V2, "Origin: http://localhost:8080", "Sec-Fetch-Site: same-origin"],
              '{"records":[{"value":"own page"}]}')
    table.check(65, "our own page", own.status == 200, describe(own))
    allowed = ask(port, "OPTIONS", "/topics/good", ["Origin: https://app.example", "Access-Control-Request-Method: POST"])
    table.check(66, "an origin that is allowed", allowed.status == 204 and
                allowed.field("access-control-allow-origin") == "https://app.example" and "Origin" in allowed.field("vary"),
                str(allowed.fields))
    answer = ask(port, "POST", "/topics/good", [*JSON_V2, "Origin: https://app.example", "Sec-Fetch-Site: cross-site"],
                 '{"records":[{"value":"allowed page"}]}')
    table.check(66, "its request", answer.status == 200 and answer.field("access-control-allow-origin") == "https://app.example" and
                "credentials" not in str(answer.fields), describe(answer))
    bodies = set()
    for path in HOSTILE_PATHS:
        answer = ask(port, "GET", path)
        bodies.add(answer.body)
        table.check(67, f"GET {path}", is_error(answer, {404}) and b"root:" not in answer.body, describe(answer))
    table.check(67, "one body for all", len(bodies) == 1, str(bodies))
    answer = ask(port, "POST", "/v1/topics/good/raw?troupe-h-a%0d%0aSet-Cookie:%20a=b", ["Content-Type: application/octet-stream"], "x")
    table.check(68, "CR and LF in a parameter", answer.status in (400, 404) and "set-cookie" not in answer.fields and
                b"Set-Cookie: a" not in answer.body, describe(answer))
    answer = ask(port, "GET", "/v1/topics/good/records?a%0d%0aSet-Cookie:%20a=b")
    table.check(68, "CR and LF in another", is_error(answer, {400}) and "set-cookie" not in answer.fields, describe(answer))
    for path, accept, status in [("/topics", "image/png", 406), ("/v1/topics", "image/png", 406), ("/topics", "*/*", 200),
                                 ("/v1/topics", "application/*", 200), ("/topics", "image/png, */*;q=0.1", 200),
                                 ("/v1/topics", ",,;;", 406)]:
        answer = ask(port, "GET", path, [f"Accept: {accept}"])
        table.check(78, f"{path} as {accept}", answer.status == status, describe(answer))
    for method, path in [("PUT", "/v1/topics"), ("DELETE", "/topics"), ("PATCH", "/brokers"), ("POST", "/livez")]:
        answer = ask(port, method, path)
        table.check(28, f"{method} {path}", is_error(answer, {405}, 405) and "GET" in answer.field("allow"), describe(answer))


def check_retries(table, node):
    """Row 69: an Idempotency-Key names one body."""
    port = node.port
    key = [V1, "Idempotency-Key: 69"]
    first = ask(port, "POST", "/v1/topics/good/records", key, '{"records":[{"value":"once"}]}')
    other = ask(port, "POST", "/v1/topics/good/records", key, '{"records":[{"value":"another"}]}')
    table.check(69, "another body", first.status == 200 and is_error(other, {409}, 409), f"{describe(first)} {describe(other)}")
    for size, statuses in [(257, {400}), (10_240, {400, 431})]:
        answer = ask(port, "POST", "/v1/topics/good/records", [V1, "Idempotency-Key: " + "k" * size], '{"records":[{"value":1}]}')
        table.check(69, f"a key of {size} bytes", is_error(answer, statuses), describe(answer))
    answer = ask(port, "POST", "/v1/topics/good/records", [V1, "Idempotency-Key:"], '{"records":[{"value":1}]}')
    table.check(69, "an empty key", is_error(answer, {400}), describe(answer))


def check_recreated(table, node):
    """Row 74: a topic that is deleted while it is written to, and one of its name afterwards."""
    port = node.port
    node.call("POST", "/v1/topics", {"name": "again"})
    node.call("POST", "/v1/topics/again/records", {"records": [{"value": i} for i in range(10)]})
    old = ask(port, "GET", "/v1/topics/again/records?from=earliest&limit=5").json()["cursor"]
    old_id = ask(port, "GET", "/v1/topics/again").json()["id"]
    produce = request("POST", "/v1/topics/again/records", [V1], '{"records":[{"value":"late"}]}')
    talk = converse(port, [produce * 8 + request("DELETE", "/v1/topics/again") + produce * 8], probe_after=17)
    late = talk.statuses[9:17]
    table.check(74, "produce, delete, produce",
                talk.statuses[:8] == [200] * 8 and talk.statuses[8] in (200, 202, 204) and set(late) == {404},
                str(talk.statuses))
    created = ask(port, "POST", "/v1/topics", [V1], '{"name":"again"}')
    table.check(74, "a new id", created.status == 201 and created.json()["id"] != old_id, describe(created))
    answer = ask(port, "GET", f"/v1/topics/again/records?cursor={old}")
    table.check(74, "the old cursor", is_error(answer, {400}), describe(answer))
    answer = ask(port, "GET", "/v1/topics/again/records?from=earliest")
    table.check(74, "it is empty", answer.status == 200 and answer.json()["records"] == [], describe(answer))


def check_nothing_written(table, node):
    table.check(50, "nothing of a refused body was written", node.read_all("t") == {}, "records are there")
    values = [record.get("v") for records in node.read_all("good").values() for record in records]
    table.check(54, "an escaped name is that name", "escaped" in values, str(values)[:200])
    wanted = len(ACCEPTED_VALUES) + 3
    table.check(65, "nothing of a foreign page was written",
                len(values) == wanted and "from evil" not in values and "another" not in values,
                f"{len(values)} records instead of {wanted}")


def main():
    randomness = seeded(int(os.environ.get("TROUPE_SEED", "0")))
    table = Table("rest input")
    with fresh_folder() as folder:
        node = NodeProcess(sys.argv[1], folder, ["--set", "gateway.allowed_origins=https://app.example"])
        try:
            node.start()
            node.call("POST", "/v1/topics", {"name": "t"})
            node.call("POST", "/v1/topics", {"name": "good"})
            before = node.memory_kb()
            for check in (lambda: check_bodies(table, node.port), lambda: check_values_come_back(table, node),
                          lambda: check_conformance(table, node), lambda: check_names(table, node),
                          lambda: check_reads(table, node, randomness), lambda: check_browsers(table, node),
                          lambda: check_retries(table, node), lambda: check_recreated(table, node),
                          lambda: check_nothing_written(table, node)):
                table.guard("all", "a group of checks", check)
            table.check("all", "memory", node.memory_kb() - before < 128 * 1024, f"{before} KiB before, {node.memory_kb()} KiB after")
            table.check("all", "no error in the log", not node.error_lines(), "\n".join(node.error_lines()[:3]))
            code, seconds = node.stop()
            table.check("all", "the node stops as ever", code == 0 and seconds < 2, f"{code} after {seconds:.2f} s")
        finally:
            node.end()
    return table.totals()


sys.exit(main())
