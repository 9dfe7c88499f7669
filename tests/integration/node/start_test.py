#!/usr/bin/env python3
"""Starts that cannot work, damaged directories, signals, and a disk that is full: reliability.md 4.4, rows 75, 76, 138 to 145.

    start_test.py PROGRAM

Rows that need a mount are left out, with a line, where the machine allows none.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time

from node_process import NodeProcess, fresh_folder
from websocket_wire import RawSocket
from wire import Table, ask, connect, readable, request

PROGRAM = sys.argv[1]
FREE = ["--http", "127.0.0.1:0"]


def run(arguments, environment=None, within_s=20, **more):
    """(exit code, what was said) of a `troupe serve` that should not come up."""
    try:
        done = subprocess.run([PROGRAM, "serve", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=within_s, env={**os.environ, **(environment or {})}, check=False, **more)
    except subprocess.TimeoutExpired as failure:
        return None, (failure.stdout or b"").decode("utf-8", "replace")
    return done.returncode, done.stdout.decode("utf-8", "replace")


def refused(table, row, what, arguments, code, words, **more):
    got, said = run(arguments, **more)
    last = said.strip().splitlines()[-1] if said.strip() else ""
    holds = got == code and all(word in last for word in words) and last.startswith("troupe: ")
    table.check(row, what, holds, f"exit {got}: {said[-400:]}")


def data_of(node):
    return os.path.join(node.folder, "data")


def a_node(folder, options=()):
    node = NodeProcess(PROGRAM, folder, options)
    node.start()
    node.call("POST", "/v1/topics", {"name": "t"})
    node.call("POST", "/v1/topics/t/records", {"records": [{"value": i} for i in range(5)]})
    return node


def values_of(node, topic="t"):
    return [record["v"] for records in node.read_all(topic).values() for record in records]


def check_holders(table, folder):
    """Rows 138 and 143: somebody else has it already."""
    node = a_node(folder)
    try:
        data = data_of(node)
        refused(table, 138, "a second process", ["--data-dir", data, *FREE], 1, ["held by another process", str(node.process.pid)])
        refused(table, 143, "a port in use", ["--data-dir", folder + "/new", "--http", f"127.0.0.1:{node.port}"], 1,
                [str(node.port), "in use", f"process {node.process.pid}", "--http"])
        table.check(138, "the first one goes on", values_of(node) == list(range(5)))
        code, _ = node.stop()
        table.check(138, "and stops as ever", code == 0, str(code))
        refused(table, 138, "another node's directory", ["--data-dir", data, "--node-id", "2", *FREE], 1, ["node 1", "node 2"])
        refused(table, 143, "an address that is not ours", ["--data-dir", data, "--http", "192.0.2.1:8080", "--insecure-no-auth"], 1,
                ["192.0.2.1"])
        refused(table, 143, "every address and no authentication", ["--data-dir", data, "--http", "0.0.0.0:0"], 2, ["insecure_no_auth"])
        refused(table, 143, "64 descriptors", ["--data-dir", data, *FREE], 1, ["64", "open_files_max"], preexec_fn=limit_descriptors)
        node.start()
        table.check(138, "nothing of that has harmed it", values_of(node) == list(range(5)))
        node.stop()
    finally:
        node.end()


def limit_descriptors():
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def have_own_mounts():
    """Mounts in a namespace of this process: they go with it, however it ends. False where the machine does not allow it."""
    clone_newns = 0x20000
    if ctypes.CDLL(None, use_errno=True).unshare(clone_newns) != 0:
        return False
    return subprocess.run(["mount", "--make-rprivate", "/"], check=False).returncode == 0


OWN_MOUNTS = have_own_mounts()


@contextlib.contextmanager
def mounted(arguments, folder):
    """A mount for as long as the block; None where the machine allows none."""
    if not OWN_MOUNTS:
        yield None
        return
    os.makedirs(folder, exist_ok=True)
    done = subprocess.run(["mount", *arguments, folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def check_directories(table, folder):
    """Row 139."""
    file = os.path.join(folder, "file")
    with open(file, "w", encoding="utf-8") as out:
        out.write("not a directory")
    refused(table, 139, "a file in the directory's place", ["--data-dir", file, *FREE], 1, [file])
    refused(table, 139, "a directory below a file", ["--data-dir", file + "/x", *FREE], 1, [file])
    refused(table, 139, "a directory that cannot be made", ["--data-dir", "/proc/none/x", *FREE], 1, ["/proc/none/x"])
    with open(file, encoding="utf-8") as still:
        table.check(139, "the file is as it was", still.read() == "not a directory")
    node = a_node(folder)
    try:
        node.stop()
        with mounted(["--bind", data_of(node)], folder + "/read-only") as bound:
            if bound and subprocess.run(["mount", "-o", "remount,ro,bind", bound], check=False).returncode == 0:
                refused(table, 139, "a read-only directory", ["--data-dir", bound, *FREE], 1, [bound])
            else:
                print("row 139: a read-only directory: left out, machine: no mounts")
        partitions = os.path.join(data_of(node), "log", "partitions")
        topic = os.listdir(partitions)[0]
        log = os.path.join(partitions, topic, "0")
        strange = {os.path.join(log, "zzz.log"): b"x", os.path.join(log, "notes.txt"): b"y", os.path.join(partitions, "lost+found"): None,
                   os.path.join(data_of(node), "README"): b"z", os.path.join(log, "00000000000000000099.log.d"): None,
                   os.path.join(log, "00000000000000000099.log"): None}
        for path, content in strange.items():
            if content is None:
                os.makedirs(path)
            else:
                with open(path, "wb") as out:
                    out.write(content)
        node.start()
        table.check(139, "unknown files do not matter", values_of(node) == list(range(5)))
        node.stop()
        gone = [path for path, content in strange.items() if not os.path.exists(path) or (content and open(path, "rb").read() != content)]
        table.check(139, "and are not touched", not gone, str(gone))
        node.start()
        node.call("POST", "/v1/topics/t/records", {"records": [{"value": 5}]})
        node.stop()
        end = os.path.join(log, "00000000000000000006.log")
        open(end, "wb").close()
        node.start()
        table.check(139, "an empty segment at the end", values_of(node) == list(range(6)), str(sorted(os.listdir(log))))
        node.stop()
    finally:
        node.end()


def derived_files(node):
    """What can be made again from the segments and the commit log: of the directory, and of one partition."""
    log = os.path.join(data_of(node), "log")
    partitions = os.path.join(log, "partitions")
    partition = os.path.join(partitions, os.listdir(partitions)[0], "0")
    found = [os.path.join(log, name) for name in ("manifest", "recovery-points", "log-start-offsets", "high-watermarks")]
    found += [os.path.join(partition, name) for name in sorted(os.listdir(partition)) if name.endswith((".index", ".state"))]
    return [path for path in found if os.path.exists(path)]


def check_same(table, node, what, wanted):
    """The node starts, gives the same answers, and stops."""
    try:
        node.start()
        got = {topic: values_of(node, topic) for topic in wanted}
        code, _ = node.stop()
        table.check(140, what, got == wanted and code == 0, f"{code} {[len(one) for one in got.values()]} {node.log_tail()[-600:]}")
    except AssertionError as failure:
        table.check(140, what, False, str(failure)[-600:])
        node.end()


def check_derived(table, folder):
    """Row 140: every answer is the same, whatever has become of them."""
    elsewhere = os.path.join(folder, "elsewhere")
    with open(elsewhere, "wb") as out:
        out.write(b"not ours to read or to write")

    def garble(path):
        with open(path, "wb") as out:
            out.write(os.urandom(200))

    def grow(path):
        os.truncate(path, 10 << 30)

    node = a_node(folder)
    try:
        node.call("POST", "/v1/topics", {"name": "small", "config": {"segment.bytes": "4096"}})
        for number in range(40):
            node.call("POST", "/v1/topics/small/records", {"records": [{"value": [number, "x" * 300]}]})
        wanted = {topic: values_of(node, topic) for topic in ("t", "small")}
        node.stop()
        kinds = {os.path.basename(path) if "." not in os.path.basename(path) else path[-6:] for path in derived_files(node)}
        table.check(140, "there are such files", len(kinds) >= 5, str(kinds))
        for what, spoil in (("deleted", os.remove), ("garbled", garble), ("of 10 GiB", grow)):
            for chosen in [None, *derived_files(node)]:
                spoiled = [path for path in derived_files(node) if chosen in (None, path)]
                if spoil is grow:  # what it says of each partition is nowhere else: it is not cut to what can be read
                    spoiled = [path for path in spoiled if not path.endswith("/manifest")]
                for path in spoiled:
                    spoil(path)
                check_same(table, node, f"{os.path.basename(chosen) if chosen else 'all of them'} {what}", wanted)
        manifest = derived_files(node)[0]
        size = os.path.getsize(manifest)
        grow(manifest)
        refused(table, 140, "manifest of 10 GiB", ["--data-dir", data_of(node), *FREE], 1, [manifest, str(10 << 30)])
        os.truncate(manifest, size)
        for path in derived_files(node):
            name = os.path.basename(path)
            os.rename(path, path + ".aside")
            os.symlink(elsewhere, path)
            if "." in name:
                check_same(table, node, f"{name} a link to elsewhere", wanted)
            else:
                refused(table, 140, f"{name} a link to elsewhere", ["--data-dir", data_of(node), *FREE], 1, [path, "symbolic link"])
                os.remove(path)
            os.replace(path + ".aside", path)
        check_same(table, node, "the links taken away", wanted)
        with open(elsewhere, "rb") as still:
            table.check(140, "what was linked to is as it was", still.read() == b"not ours to read or to write")
        table.check(140, "no error in the log", not node.error_lines(), "\n".join(node.error_lines()[:3]))
    finally:
        node.end()


def check_damage(table, folder):
    """Row 139: a segment that is gone or is somebody else's; the rest of the node works, and the way out does."""
    for what in ("gone", "a link to elsewhere"):
        inside = os.path.join(folder, what)
        os.makedirs(inside)
        node = a_node(inside)
        try:
            topic = node.call("POST", "/v1/topics", {"name": "damaged", "config": {"segment.bytes": "4096"}})["id"]
            for number in range(60):
                node.call("POST", "/v1/topics/damaged/records", {"records": [{"value": "x" * 300}]})
            node.stop()
            log = os.path.join(data_of(node), "log", "partitions", topic, "0")
            segments = sorted(name for name in os.listdir(log) if name.endswith(".log"))
            victim = os.path.join(log, segments[2])
            copy = os.path.join(inside, "copy")
            with open(victim, "rb") as source, open(copy, "wb") as out:
                content = source.read()
                out.write(content)
            os.remove(victim)
            if what != "gone":
                os.symlink(copy, victim)
            node.start()
            began = time.monotonic()
            answer = ask(node.port, "POST", "/v1/topics/damaged/records", ["Content-Type: application/json"], '{"records":[{"value":1}]}')
            table.check(139, f"a segment that is {what}: refused at once, with the reason", answer.status == 500 and
                        answer.json()["code"] == "log_damaged" and f"offset {int(segments[2][:-4])}" in answer.json()["message"] and
                        time.monotonic() - began < 2, f"{answer.status} {answer.body[:300]}")
            read = values_of(node, "damaged")
            table.check(139, f"a segment that is {what}: records before it are read", len(read) == int(segments[2][:-4]), str(len(read)))
            tree = node.get("/v1/cluster/tree")[1].decode()
            table.check(139, f"a segment that is {what}: the tree tells", "is damaged from offset" in tree)
            table.check(139, f"a segment that is {what}: others go on", values_of(node) == list(range(5)) and
                        ask(node.port, "POST", "/v1/topics/t/records", ["Content-Type: application/json"],
                            '{"records":[{"value":5}]}').status == 200)
            node.call("DELETE", "/v1/topics/damaged", expect=(200, 204))
            node.call("POST", "/v1/topics", {"name": "damaged"})
            node.call("POST", "/v1/topics/damaged/records", {"records": [{"value": "anew"}]})
            table.check(139, f"a segment that is {what}: made anew", values_of(node, "damaged") == ["anew"])
            with open(copy, "rb") as still:
                table.check(139, f"a segment that is {what}: what is elsewhere stays", still.read() == content)
            code, _ = node.stop()
            table.check(139, f"a segment that is {what}: stops as ever", code == 0, str(code))
        finally:
            node.end()


def check_settings(table, folder):
    """Rows 141 and 142."""
    path = os.path.join(folder, "troupe.toml")
    data = os.path.join(folder, "data")
    for what, text, words in [
            ("an unknown key", b"[gateway]\n\nlisetn = \"127.0.0.1:0\"\n", [":3:", "gateway.lisetn", "listen"]),
            ("an unknown section", b"[gatewya]\nlisten = \"127.0.0.1:0\"\n", ["gatewya", "gateway"]),
            ("a port of 70000", b"[gateway]\nlisten = \"127.0.0.1:70000\"\n", [":2:", "70000"]),
            ("a wrong type", b"[gateway]\nlisten = 5\n", [":2:", "gateway.listen"]),
            ("a size that is none", b"[gateway]\nbody_bytes_max = \"8MiX\"\n", [":2:", "8MiX"]),
            ("out of range", b"[gateway]\nio_threads = 1000\n", [":2:", "64"]),
            ("a key twice", b"[gateway]\nio_threads = 1\nio_threads = 2\n", [":3:"]),
            ("a line of 1 MiB", b"x" * (1 << 20), [":1:"]),
            ("a zero byte", b"[gateway]\nio_threads = \0\n", [":2:"]),
            ("no UTF-8", b"[gateway]\nlisten = \"\xff\"\n", [":2:"]),
            ("no TOML", b"this is: yaml\n", [":1:"]),
            ("nested without end", b"x = " + b"[" * 100_000, [":1:"])]:
        with open(path, "wb") as out:
            out.write(text)
        refused(table, 141, what, ["--config", path, "--data-dir", data, *FREE], 2,
                ["troupe.toml" + words[0] if words[0][0] == ":" else words[0],
                                                                                     *words[1:]])
    refused(table, 141, "a file that is not there", ["--config", path + ".none", "--data-dir", data, *FREE], 2, [path + ".none"])
    refused(table, 141, "a directory as the file", ["--config", folder, "--data-dir", data, *FREE], 2, [folder])
    refused(table, 141, "an unknown flag", ["--htpp", "127.0.0.1:0"], 2, ["--htpp"])
    refused(table, 141, "an unknown --set", ["--set", "gateway.lisetn=x", "--data-dir", data], 2, ["gateway.lisetn", "gateway.listen"])
    refused(table, 141, "a --set without a value", ["--set", "gateway.listen", "--data-dir", data], 2, ["gateway.listen"])
    refused(table, 141, "node id 0", ["--node-id", "0", "--data-dir", data, *FREE], 2, ["node"])
    refused(table, 141, "an address without a port", ["--http", "127.0.0.1", "--data-dir", data], 2, ["127.0.0.1"])
    table.check(141, "nothing was made", not os.path.exists(data))
    _, said = run(["--config", path + ".none"], {"TROUPE_GATEWAY__LISTN": "x"})
    table.check(142, "an unknown variable is told", "TROUPE_GATEWAY__LISTN" in said and "TROUPE_GATEWAY__LISTEN" in said, said[-400:])


def check_signals(table, folder):
    """Row 144."""
    node = a_node(folder)
    try:
        node.process.send_signal(signal.SIGHUP)
        table.check(144, "SIGHUP changes nothing", values_of(node) == list(range(5)) and node.process.poll() is None)
        for first, second in [(signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)]:
            check_second_signal(table, node, first, second)
        began = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        node.process.send_signal(signal.SIGTERM)
        code = node.process.wait(10)
        table.check(144, "SIGTERM twice in one breath", code in (0, -signal.SIGTERM) and time.monotonic() - began < 2,
                    f"{code} after {time.monotonic() - began:.2f} s")
        for index in range(5):
            node.start(wait=False)
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.process.wait(index * 0.01)
            code, seconds = node.stop()
            table.check(144, f"SIGTERM {index * 10} ms after the start", code in (0, -15, 143) and seconds < 3,
                        f"{code} after {seconds:.2f} s")
        node.start()
        table.check(144, "and all is there", values_of(node) == list(range(5)))
        with connect(node.port) as waiting:
            waiting.sendall(request("GET", "/v1/topics/t/records?from=latest&wait=30000"))
            table.check(144, "a long poll waits", not readable(waiting, 0.1))
            code, seconds = node.stop()
            table.check(144, "SIGTERM ends a long poll", code == 0 and seconds < 2 and readable(waiting, 1) and
                        waiting.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 503"), f"{code} after {seconds:.2f} s")
    finally:
        node.end()
    for what, stdin, output in [("stdin closed, stdout a pipe that nobody reads", None, "pipe"),
                                ("a log disk that is full", subprocess.DEVNULL, "full")]:
        check_streams(table, what, os.path.join(folder, "data"), stdin, output)


def check_second_signal(table, node, first, second):
    """The first one is being obeyed when the second one comes: a subscriber was told, and its socket is waited for."""
    subscriber = RawSocket(node.port)
    node.process.send_signal(first)
    table.check(144, f"{first.name}: subscribers are told", subscriber.expect(lambda one: one.get("ev") == "goaway") is not None)
    table.check(144, f"{first.name}: and waited for", node.process.poll() is None)
    began = time.monotonic()
    node.process.send_signal(second)
    code = node.process.wait(10)
    # As every process that a signal ends: whoever started it sees which one, and a shell says 128 and its number.
    table.check(144, f"{first.name}, then {second.name}: at once", code == -second and time.monotonic() - began < 0.25,
                f"{code} after {time.monotonic() - began:.2f} s")
    subscriber.socket.close()
    node.start()
    table.check(144, f"{first.name}, then {second.name}: nothing is lost", values_of(node) == list(range(5)))


def check_streams(table, what, data, stdin, output):
    """A node whose standard streams are of no use."""
    node = NodeProcess(PROGRAM, os.path.dirname(data))
    reader, writer = os.pipe() if output == "pipe" else (None, os.open("/dev/full", os.O_WRONLY))
    try:
        node.process = subprocess.Popen([PROGRAM, "serve", "--data-dir", data, "--http", f"127.0.0.1:{node.port}", "--log-level", "debug"],
                                        stdin=stdin, stdout=writer, stderr=writer,
                                        preexec_fn=(lambda: os.close(0)) if stdin is None else None)
        os.close(writer)
        if reader is not None:
            os.close(reader)
        node.wait_ready()
        node.call("POST", "/v1/topics/t/records", {"records": [{"value": 5}]})
        connect(node.port).close()
        code, seconds = node.stop()
        table.check(144, what, code == 0 and seconds < 2, f"{code} after {seconds:.2f} s")
    except AssertionError as failure:
        table.check(144, what, False, str(failure)[:300])
    finally:
        node.end()


def check_overload(table, folder):
    """Row 76: what does not fit in memory is refused at the door, and the door opens again."""
    node = a_node(folder, ["--set", "gateway.inflight_bytes_max=8MiB"])
    kept = []
    try:
        statuses, answers = [], []
        for _ in range(12):
            connection = connect(node.port)
            kept.append(connection)
            connection.sendall(request("POST", "/v1/topics/t/records", ["Content-Type: application/json"], b"x" * 1_000_000)[:200])
            if readable(connection, 0.3):
                answer = connection.recv(4096)
                statuses.append(int(answer.split(b" ")[1]))
                answers.append(answer)
        holds = bool(statuses) and set(statuses) == {503} and all(b"Retry-After: " in one and b"50302" in one for one in answers)
        table.check(76, "bodies beyond the budget", holds and len(statuses) < 6, f"{statuses} {answers[:1]}")
        table.check(76, "small requests go on", ask(node.port, "GET", "/livez").status == 200)
        for connection in kept:
            connection.close()
        deadline = time.monotonic() + 5
        status = 0
        while status != 200 and time.monotonic() < deadline:
            status = ask(node.port, "POST", "/v1/topics/t/records", ["Content-Type: application/json"],
                         json.dumps({"records": [{"value": "x" * 1_000_000}]})).status
        table.check(76, "and then large ones, too", status == 200, str(status))
        code, _ = node.stop()
        table.check(76, "the node stops as ever", code == 0 and not node.error_lines(), f"{code} {node.error_lines()[:2]}")
    finally:
        for connection in kept:
            connection.close()
        node.end()


def check_disk_full(table, folder):
    """Row 75: 507, reads go on, and writes again when there is space; what was acknowledged is there."""
    with mounted(["-t", "tmpfs", "-o", "size=24m", "tmpfs"], folder + "/small") as small:
        if not small:
            print("row 75: left out, machine: no mounts")
            return
        ballast = os.path.join(small, "ballast")
        with open(ballast, "wb") as out:
            out.write(bytes(4 << 20))
        node = NodeProcess(PROGRAM, small, ["--set", "storage.commit_file_bytes=1MiB"])
        node.log_path = os.path.join(folder, "node.log")
        try:
            node.start()
            node.call("POST", "/v1/topics", {"name": "t"})
            acknowledged, refusals = fill(node)
            answer = refusals[-1] if refusals else None
            table.check(75, "507 storage_full", answer is not None and answer.status == 507 and answer.json()["code"] == "storage_full",
                        f"{len(acknowledged)} acknowledged, {answer}")
            table.check(75, "every refusal says it", {one.status for one in refusals} == {507}, str([one.status for one in refusals]))
            read = {record["o"]: record["v"]["n"] for records in node.read_all("t").values() for record in records}
            table.check(75, "reads go on", all(read.get(offset) == number for number, offset in acknowledged), f"{len(read)} records")
            disk = disk_check(node)
            table.check(75, "/readyz says so", not disk["ok"] and disk["detail"].startswith("full"), str(disk))
            lines = [line for line in node.log_lines() if "the disk is full" in line]
            table.check(75, "the log says so, and not for each record", 1 <= len(lines) <= 3, str(lines[:3]))
            table.check(75, "the node lives", ask(node.port, "GET", "/livez").status == 200 and node.process.poll() is None)
            os.remove(ballast)
            deadline = time.monotonic() + 15
            status, tries = 0, 0
            while status != 200 and time.monotonic() < deadline:
                answer = ask(node.port, "POST", "/v1/topics/t/records", ["Content-Type: application/json"], record_of(10_000))
                status, tries = answer.status, tries + 1
            table.check(75, "writes go on without a restart", status == 200, f"{status} after {tries} tries: {answer.body[:200]}")
            if status == 200:
                acknowledged.append((10_000, answer.json()["results"][0]["o"]))
                table.check(75, "/readyz says that, too", disk_check(node)["ok"], str(disk_check(node)))
            code, seconds = node.stop()
            table.check(75, "the node stops as ever", code == 0 and seconds < 2, f"{code} after {seconds:.2f} s")
            node.start()
            read = {record["o"]: record["v"]["n"] for records in node.read_all("t").values() for record in records}
            table.check(75, "all is there after a restart", all(read.get(offset) == number for number, offset in acknowledged),
                        f"{len(acknowledged)} acknowledged, {len(read)} read")
            node.kill()
        finally:
            node.end()


def disk_check(node):
    return next(check for check in ask(node.port, "GET", "/readyz").json()["checks"] if check["name"] == "disk")


def record_of(number):
    return json.dumps({"records": [{"value": {"n": number, "pad": "x" * 200_000}}]})


def fill(node):
    """Writes until ten requests have been refused: ([(number, offset)], [answer])."""
    acknowledged, refusals = [], []
    for number in range(1000):
        answer = ask(node.port, "POST", "/v1/topics/t/records", ["Content-Type: application/json"], record_of(number))
        if answer.status == 200:
            acknowledged.append((number, answer.json()["results"][0]["o"]))
        else:
            refusals.append(answer)
            if len(refusals) == 10:
                break
    return acknowledged, refusals


def check_clock(table, folder):
    """Row 145: a wall clock of another time does not keep a node from starting, nor does it delete anything."""
    library = next((path for path in ("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",) if os.path.exists(path)), None)
    if not library:
        print("row 145: left out, machine: no libfaketime")
        return
    node = a_node(folder)
    try:
        node.stop()
        for when in ("@1970-01-02 00:00:00", "@2100-01-01 00:00:00", "-2h"):
            os.environ.update({"LD_PRELOAD": library, "FAKETIME": when, "DONT_FAKE_MONOTONIC": "1"})
            try:
                node.start()
            finally:
                for name in ("LD_PRELOAD", "FAKETIME", "DONT_FAKE_MONOTONIC"):
                    del os.environ[name]
            table.check(145, f"started at {when}", values_of(node) == list(range(5)))
            code, _ = node.stop()
            table.check(145, f"stopped at {when}", code == 0, str(code))
    finally:
        node.end()


def main():
    table = Table("start")
    for check in (check_holders, check_directories, check_derived, check_damage, check_settings, check_signals, check_overload,
                  check_disk_full, check_clock):
        with fresh_folder() as folder:
            table.guard(check.__name__, "a group of checks", lambda check=check, folder=folder: check(table, folder))
    return table.totals()


sys.exit(main())
