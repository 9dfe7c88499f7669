"""The inputs of rest_input_test.py, by the rows of reliability.md 4.4."""

JSON_V2 = ["Content-Type: application/vnd.kafka.json.v2+json"]
BINARY_V2 = ["Content-Type: application/vnd.kafka.binary.v2+json"]
TEXT_V2 = ["Content-Type: application/vnd.kafka.text.v2+json"]


def one(value):
    return b'{"records":[{"value":' + value + b"}]}"


def nested(depth):
    return b"[" * depth + b"]" * depth


# (row, what, headers, body, statuses, error codes, words of the message)
BODIES = [
    (50, "cut", JSON_V2, b'{"records":[', {400}, 400, ["byte"]),
    (50, "no records", JSON_V2, b'{"records":[]}', {422}, 42208, ["records"]),
    (50, "an empty object", JSON_V2, b"{}", {422}, (422, 42208), ["records"]),
    (50, "an array", JSON_V2, b"[]", {400, 422}, None, []),
    (50, "null", JSON_V2, b"null", {422}, None, []),
    (50, "a number", JSON_V2, b"5", {400}, 400, []),
    (50, "nothing", JSON_V2, b"", {422}, None, []),
    (50, "records is no array", JSON_V2, b'{"records":{}}', {400}, 400, ["records"]),
    (50, "a record is no object", JSON_V2, b'{"records":[{"value":1},5]}', {400}, 400, ["records[1]"]),
    (50, "an unknown field", JSON_V2, b'{"records":[{"value":1,"vlaue":2}]}', {422}, 422, ["vlaue"]),
    (50, "an unknown field beside records", JSON_V2, b'{"records":[{"value":1}],"x":1}', {422}, 422, ["x"]),
    (51, "a million brackets", JSON_V2, b"[" * 1_000_000, {400}, 400, ["64"]),
    (51, "a million closed brackets in a value", JSON_V2, one(nested(1_000_000)), {400}, 400, ["64"]),
    (51, "65 deep", JSON_V2, one(nested(65)), {400}, 400, ["64"]),
    (51, "1,000 deep", JSON_V2, one(nested(1000)), {400}, 400, ["64"]),
    (51, "1,000 objects deep", JSON_V2, one(b'{"a":' * 1000 + b"1" + b"}" * 1000), {400}, 400, ["64"]),
    (51, "100,001 values", JSON_V2, one(b"[" + b",".join([b"1"] * 100_001) + b"]"), {400}, 400, ["100000"]),
    (52, "1e999", JSON_V2, one(b"1e999"), {400}, 400, ["byte"]),
    (52, "NaN", JSON_V2, one(b"NaN"), {400}, 400, ["byte"]),
    (52, "Infinity", JSON_V2, one(b"-Infinity"), {400}, 400, ["byte"]),
    (52, "a leading zero", JSON_V2, one(b"01"), {400}, 400, ["byte"]),
    (52, "hexadecimal", JSON_V2, one(b"0x10"), {400}, 400, ["byte"]),
    (52, "something behind it", JSON_V2, b'{"records":[{"value":1}]}x', {400}, 400, ["byte"]),
    (52, "two documents", JSON_V2, b'{"records":[{"value":1}]}{}', {400}, 400, ["byte"]),
    (52, "a byte order mark", JSON_V2, b"\xef\xbb\xbf{}", {400}, 400, ["byte"]),
    (52, "half a surrogate", JSON_V2, one(b'"\\ud800"'), {400}, 400, ["byte"]),
    (52, "the other half", JSON_V2, one(b'"\\udc00"'), {400}, 400, ["byte"]),
    (52, "a byte that is no UTF-8", JSON_V2, one(b'"\xff"'), {400}, 400, ["byte"]),
    (52, "a surrogate as UTF-8", JSON_V2, one(b'"\xed\xa0\x80"'), {400}, 400, ["byte"]),
    (52, "an overlong slash", JSON_V2, one(b'"\xc0\xaf"'), {400}, 400, ["byte"]),
    (52, "a control character", JSON_V2, one(b'"\x01"'), {400}, 400, ["byte"]),
    (52, "a zero byte", JSON_V2, one(b"1\0"), {400}, 400, ["byte"]),
    (52, "a comma too many", JSON_V2, one(b"[1,]"), {400}, 400, ["byte"]),
    (52, "a comment", JSON_V2, one(b"1/*x*/"), {400}, 400, ["byte"]),
    (52, "single quotes", JSON_V2, one(b"'a'"), {400}, 400, ["byte"]),
    (54, "records twice", JSON_V2, b'{"records":[{"value":1}],"records":[{"value":2}]}', {400}, 400, ["records"]),
    (54, "records twice, once escaped", JSON_V2, b'{"records":[{"value":1}],"\\u0072ecords":[{"value":2}]}', {400}, 400, ["records"]),
    (54, "value twice", JSON_V2, b'{"records":[{"value":1,"value":2}]}', {400}, 400, ["records[0].value"]),
    (55, "no base64", BINARY_V2, b'{"records":[{"value":"AAAA"},{"value":"***"}]}', {422}, 422, ["records[1].value"]),
    (55, "AB=C", BINARY_V2, b'{"records":[{"value":"AB=C"}]}', {422}, 422, ["records[0].value"]),
    (55, "the other alphabet", BINARY_V2, b'{"records":[{"value":"-_-_"}]}', {422}, 422, ["records[0].value"]),
    (55, "no padding", BINARY_V2, b'{"records":[{"value":"AB"}]}', {422}, 422, ["records[0].value"]),
    (55, "a line end in it", BINARY_V2, b'{"records":[{"value":"AA\\nAA"}]}', {422}, 422, ["records[0].value"]),
    (55, "a key that is none", BINARY_V2, b'{"records":[{"key":"%","value":"AAAA"}]}', {422}, 422, ["records[0].key"]),
    (55, "a number", BINARY_V2, b'{"records":[{"value":5}]}', {400, 422}, None, ["records[0].value"]),
    (55, "text that is a number", TEXT_V2, b'{"records":[{"value":5}]}', {400, 422}, None, ["records[0].value"]),
    (56, "partition -1", JSON_V2, b'{"records":[{"value":1,"partition":-1}]}', {404}, 40402, []),
    (56, "partition 999", JSON_V2, b'{"records":[{"value":1,"partition":999}]}', {404}, 40402, ["999"]),
    (56, "partition 2^31", JSON_V2, b'{"records":[{"value":1,"partition":2147483648}]}', {400}, 400, ["partition"]),
    (56, "partition 1.5", JSON_V2, b'{"records":[{"value":1,"partition":1.5}]}', {400}, 400, ["partition"]),
    (56, "partition as text", JSON_V2, b'{"records":[{"value":1,"partition":"0"}]}', {400}, 400, ["partition"]),
    (56, "partition true", JSON_V2, b'{"records":[{"value":1,"partition":true}]}', {400}, 400, ["partition"]),
    (56, "a timestamp as text", JSON_V2, b'{"records":[{"value":1,"timestamp":"now"}]}', {400}, 400, ["timestamp"]),
    (56, "a timestamp beyond 64 bits", JSON_V2, b'{"records":[{"value":1,"timestamp":9223372036854775808}]}', {400}, 400, ["timestamp"]),
    (56, "a timestamp before 1970", JSON_V2, b'{"records":[{"value":1,"timestamp":-2}]}', {400}, 400, ["timestamp"]),
    (41, "a record of more than 1 MiB", JSON_V2, one(b'"' + b"x" * 1_048_577 + b'"'), {413}, 413, []),
    (41, "a key of more than 1 MiB", JSON_V2, b'{"records":[{"key":"' + b"k" * 1_048_577 + b'","value":1}]}', {413}, 413, []),
    (64, "a form's text", ["Content-Type: text/plain"], one(b"1"), {415}, 415, []),
    (64, "a form", ["Content-Type: application/x-www-form-urlencoded"], one(b"1"), {415}, 415, []),
    (64, "a form with files", ["Content-Type: multipart/form-data; boundary=x"], one(b"1"), {415}, 415, []),
    (64, "no type", [], one(b"1"), {415}, 415, []),
    (64, "two types", ["Content-Type: text/plain", JSON_V2[0]], one(b"1"), {400, 415}, None, []),
    (64, "two types in a list", ["Content-Type: text/plain, application/vnd.kafka.json.v2+json"], one(b"1"), {415}, 415, []),
]

# (row, what, headers, the one record)
ACCEPTED_VALUES = [
    (51, "60 deep", JSON_V2, b'{"value":' + nested(60) + b"}"),
    (51, "brackets in a string", JSON_V2, b'{"value":"' + b"[" * 1000 + b'"}'),
    (54, "an escaped name", JSON_V2, b'{"\\u0076alue":"escaped"}'),
    (56, "partition null", JSON_V2, b'{"value":1,"partition":null}'),
    (55, "base64", BINARY_V2, b'{"key":"AA==","value":"+/+/"}'),
    (55, "base64 of nothing", BINARY_V2, b'{"value":""}'),
    (41, "nearly 1 MiB", JSON_V2, b'{"value":"' + b"x" * 1_048_000 + b'"}'),
]

NAMES = ["", ".", "..", "a/b", "../../etc", "a\0b", "é", "a b", "a" * 250, "a\nb", "a\\b", "a:b", "%2e%2e", "<script>", "a\ud800b"]

# (what, body, error code, words)
CREATES = [
    ("no partition", '{"name":"x","partitions":0}', 40002, ["partition"]),
    ("-1 partitions", '{"name":"x","partitions":-1}', 40002, ["partition"]),
    ("a million partitions", '{"name":"x","partitions":1000001}', 40002, ["partition", "10000"]),
    ("2^70 partitions", '{"name":"x","partitions":1180591620717411303424}', (400, 40002), []),
    ("1.5 partitions", '{"name":"x","partitions":1.5}', 400, ["partition"]),
    ("partitions as text", '{"name":"x","partitions":"3"}', 400, ["partition"]),
    ("no replica", '{"name":"x","replication_factor":0}', 40002, ["replica"]),
    ("99 replicas", '{"name":"x","replication_factor":99}', 40002, ["replica"]),
    ("a setting that is no number", '{"name":"x","config":{"retention.ms":"abc"}}', 40002, ["retention.ms"]),
    ("a setting out of its range", '{"name":"x","config":{"retention.ms":"-5"}}', 40002, ["retention.ms"]),
    ("an unknown setting", '{"name":"x","config":{"retentoin.ms":"5"}}', 40002, ["retentoin.ms"]),
    ("a setting of 300 bytes", '{"name":"x","config":{"retention.ms":"' + "1" * 300 + '"}}', 40002, ["retention.ms"]),
    ("a setting that is an object", '{"name":"x","config":{"retention.ms":{}}}', 400, ["retention.ms"]),
    ("settings that are a list", '{"name":"x","config":[]}', 400, ["config"]),
    ("an unknown field", '{"name":"x","partitoins":3}', (400, 422), ["partitoins"]),
    ("no name", '{"partitions":3}', None, ["name"]),
    ("a name that is a number", '{"name":5}', (400, 422), ["name"]),
    ("the name twice", '{"name":"x","name":"y"}', 400, ["name"]),
    ("no object", '["x"]', 400, []),
    ("no JSON", '{"name":', 400, []),
    ("nested without end", '{"name":"x","config":' + "[" * 100_000, 400, []),
    ("a name that is there", '{"name":"t"}', None, ["t"]),
]

READ = "/v1/topics/read/partitions/0/records?offset="
# (row, what, target, status, words); partition 0 holds the offsets 4 to 9, partition 1 0 to 9.
READS = [
    (61, "offset -1", READ + "-1", 400, ["offset"]),
    (61, "offset -3", READ + "-3", 400, ["offset"]),
    (61, "offset 2^63 - 1", READ + "9223372036854775807", 416, ["4", "10"]),
    (61, "offset 2^63", READ + "9223372036854775808", 400, ["offset"]),
    (61, "offset 1e3", READ + "1e3", 400, ["offset"]),
    (61, "offset abc", READ + "abc", 400, ["offset"]),
    (61, "offset with a sign", READ + "%2B5", 400, ["offset"]),
    (61, "no offset in offset", READ, 400, ["offset"]),
    (61, "beyond the end", READ + "11", 416, ["4", "10"]),
    (61, "at the end", READ + "10", 200, []),
    (61, "below the start", READ + "3", 416, ["4", "10"]),
    (61, "from below the start", "/v1/topics/read/records?from=offset:0:0", 416, ["4"]),
    (61, "at the start", READ + "4", 200, []),
    (61, "partition -1", "/v1/topics/read/partitions/-1/records", 404, []),
    (61, "partition 2", "/v1/topics/read/partitions/2/records", 404, []),
    (61, "partition 2^31", "/v1/topics/read/partitions/2147483648/records", 404, []),
    (61, "partition x", "/v1/topics/read/partitions/x/records", 404, []),
    (61, "partition 0x0", "/v1/topics/read/partitions/0x0/records", 404, []),
    (61, "from a partition that is not there", "/v1/topics/read/records?from=offset:7:0", 404, []),
    *[(61, f"from={text}", f"/v1/topics/read/records?from={text}", 400, ["from"]) for text in
      ("nowhere", "last:-1", "last:x", "last:", "offset:", "offset:0", "offset:0:x", "offset:0:1,0:2", "time:yesterday", "ago:10x", "ago:-5m", "")],
    (61, "from the year 9999", "/v1/topics/read/records?from=time:9999-01-01T00:00:00Z", 200, []),
    (62, "limit 0", "/v1/topics/read/records?limit=0", 400, ["limit"]),
    (62, "limit -1", "/v1/topics/read/records?limit=-1", 400, ["limit"]),
    (62, "limit x", "/v1/topics/read/records?limit=x", 400, ["limit"]),
    (62, "limit beyond 64 bits", "/v1/topics/read/records?limit=99999999999999999999", 200, []),
    (62, "max_bytes 0", "/v1/topics/read/records?max_bytes=0", 400, ["max_bytes"]),
    (62, "wait -1", "/v1/topics/read/records?wait=-1", 400, ["wait"]),
    (62, "limit twice", "/v1/topics/read/records?limit=1&limit=2", 400, ["limit"]),
    (62, "an unknown parameter", "/v1/topics/read/records?limti=1", 400, ["limti", "limit"]),
    (62, "order sideways", "/v1/topics/read/records?order=sideways", 400, ["order"]),
    (62, "format xml", "/v1/topics/read/records?format=xml", 400, ["format"]),
    (62, "from and cursor", "/v1/topics/read/records?from=earliest&cursor=AAAA", 400, ["cursor"]),
    (62, "a broken escape", "/v1/topics/read/records?limit=%zz", 400, []),
    (62, "no UTF-8", "/v1/topics/read/records?key=%ff", 400, []),
    (62, "before -1", "/v1/topics/read/records?before=-1", 400, ["before"]),
    (62, "101 parameters", "/v1/topics/read/records?" + "&".join(f"a{i}=1" for i in range(101)), 400, []),
]

ORIGINS = [
    ("a foreign page", ["Origin: http://evil.example"]),
    ("a page without an origin", ["Origin: null"]),
    ("the same name on another port", ["Origin: http://localhost:9999"]),
    ("our name in front", ["Origin: http://localhost:8080.evil.example"]),
    ("another scheme", ["Origin: ftp://localhost:8080"]),
    ("an empty origin", ["Origin:"]),
    ("cross-site", ["Sec-Fetch-Site: cross-site"]),
    ("cross-site with our origin", ["Origin: http://localhost:8080", "Sec-Fetch-Site: cross-site"]),
    ("two origins", ["Origin: http://localhost:8080", "Origin: http://evil.example"]),
]

HOSTILE_PATHS = ["/../../etc/passwd", "/%2e%2e/", "/%2e%2e/%2e%2e/etc/passwd", "/console/..%5c..", "//etc", "//etc/passwd", "/..%2f..%2fetc%2fpasswd",
                 "/./livez", "/livez/..", "/%2fetc%2fpasswd", "/nothing%00.html", "/troupe.js/", "/troupe.js/..", "/.git/config"]
