#!/usr/bin/env python3
"""Clients that others wrote: curl as README.md shows it, Python's websockets, npm's ws.

    clients_test.py PROGRAM SOURCE_DIR

A browser's EventSource and WebSocket are in tests/browser.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys

import websockets

from node_process import NodeProcess, fresh_folder
from wire import Table

PROGRAM = sys.argv[1]
SOURCE = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")


def readme_commands():
    """The lines of README.md's blocks that call curl, each as one command, comments included."""
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as readme:
        text = readme.read()
    commands = []
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        commands += [line for line in block.replace("\\\n", " ").split("\n") if line.startswith("curl ")]
    return commands


def run_curl(command, port):
    """A command of the README, with only the port changed. A stream is ended after a while: exit 28."""
    limited = command.replace("curl ", "curl -sS --max-time 2 -w '\\n%{http_code}' ", 1)
    done = subprocess.run(["bash", "-c", f"H=http://127.0.0.1:{port}\n{limited}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=20,
                          env={**os.environ, "no_proxy": "*"}, check=False)
    body, _, status = done.stdout.decode().rpartition("\n")
    return done.returncode, status, body


def check_curl(table, node):
    commands = readme_commands()
    table.check("curl", "README.md has commands", len(commands) >= 7, f"{len(commands)} of them")
    answers = {}
    retries = []
    for command in commands:
        code, status, body = run_curl(command, node.port)
        answers[command] = body
        stream = " -N " in command
        holds = code == (28 if stream else 0) and status in ("200", "201")
        table.check("curl", command, holds, f"exit {code}, {status}: {body[:200]}")
        if "Idempotency-Key" in command and holds:
            retries.append(json.loads(body)["results"][0])
        if stream:
            table.check("curl", "the stream has the record", '"sku"' in body and "data: " in body and "id: " in body, body[:300])
    table.check("curl", "a repeated request is written once", len(retries) == 2 and retries[0]["o"] == retries[1]["o"] and
                not retries[0]["dup"] and retries[1]["dup"], str(retries))
    page = next((json.loads(body) for command, body in answers.items() if "records?from=earliest" in command), {})
    table.check("curl", "the record is as it was given",
                [(one["k"], one["v"]) for one in page.get("records", [])] == [("ana", {"sku": "A1"})],
                str(page))
    for arguments, wanted in [
            (["--http1.0", "{}/livez"], "200"), (["-I", "{}/livez"], "200"), (["--compressed", "{}/v1/topics"], "200"),
            (["-X", "OPTIONS", "{}/v1/topics"], "204"), (["--http2-prior-knowledge", "{}/livez"], None),
            (["-H", "Expect: 100-continue", "--json", '{"records":[{"value":1}]}', "{}/v1/topics/orders/records"], "200"),
            (["-H", "Transfer-Encoding: chunked", "--json", '{"records":[{"value":2}]}', "{}/v1/topics/orders/records"], "200"),
            (["--data", '{"records":[{"value":3}]}', "{}/v1/topics/orders/records"], "415")]:
        command = [one.replace("{}", node.url) if one.startswith("{}") else one for one in arguments]
        done = subprocess.run(["curl", "-sS", "--max-time", "5", "-o", "/dev/null", "-w", "%{http_code}", *command], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=20, env={**os.environ, "no_proxy": "*"}, check=False)
        told = done.stdout.decode()
        if wanted is None:
            table.check("curl", " ".join(arguments), done.returncode not in (0, 28), f"exit {done.returncode}")
        else:
            table.check("curl", " ".join(arguments), done.returncode == 0 and told == wanted, f"exit {done.returncode}, {told}")


def check_announcement(table):
    """The line for curl that a node prints when it is ready works as it stands."""
    for options in ([], ["--demo"]):
        with fresh_folder() as folder:
            node = NodeProcess(PROGRAM, folder, options)
            try:
                node.start()
                if options:  # the demo's thread makes its topics right after the announcement
                    node.wait_for(lambda: node.get("/v1/topics/ChatMessages")[0] == 200)
                line = next(line for line in node.log_lines() if line.startswith("  REST "))
                code, status, body = run_curl(line.removeprefix("  REST ").strip(), node.port)
                table.check("announcement", " ".join(["serve", *options]), code == 0 and status in ("200", "201"),
                            f"{line}: exit {code}, {status}: {body[:200]}")
            finally:
                node.end()


async def talk_with_websockets(table, node):
    """Python's websockets as it comes: it offers compression, pings by itself, and checks every frame."""
    name = "python websockets"
    url = f"ws://127.0.0.1:{node.port}/v1/ws"
    async with websockets.connect(url, subprotocols=["troupe.v1.json"], ping_interval=0.2, ping_timeout=5) as writer, \
            websockets.connect(url + "?auto=1") as reader:
        table.check(name, "the subprotocol", writer.subprotocol == "troupe.v1.json", str(writer.subprotocol))

        replies = {}

        async def reply(socket, number):
            while (socket, number) not in replies:
                for one in map(json.loads, (await asyncio.wait_for(socket.recv(), 10)).split("\n")):
                    if "re" in one:
                        replies[socket, one["re"]] = one
                    elif one.get("ev") == "records":
                        early.append(one)
            return replies[socket, number]

        early = []
        await writer.send(json.dumps({"id": 1, "op": "connect"}))
        table.check(name, "connect", "ok" in await reply(writer, 1))
        await reader.send(json.dumps({"id": 1, "op": "subscribe", "sub": "s", "topics": ["strangers"], "from": {"earliest": True}}))
        table.check(name, "subscribe", "ok" in await reply(reader, 1))
        for number in range(100):
            await writer.send(json.dumps({"id": number + 2, "op": "produce", "topic": "strangers", "key": f"k{number % 3}",
                                          "value": number}))
        offsets = [(await reply(writer, number + 2))["ok"]["o"] for number in range(100)]
        table.check(name, "100 acknowledged", offsets == list(range(100)), str(offsets))
        table.check(name, "nothing came unasked", early == [], str(early)[:200])
        seen, cursor = [], None
        while len(seen) < 100:
            for one in map(json.loads, (await asyncio.wait_for(reader.recv(), 10)).split("\n")):
                if one.get("ev") == "records":
                    seen += [record["v"] for record in one["r"]]
                    cursor = one["c"]
        table.check(name, "100 delivered in order", seen == list(range(100)), str(seen))
        pong = await writer.ping()
        await asyncio.wait_for(pong, 5)
        table.check(name, "pings are answered", True)
    table.check(name, "both sides close with 1000", writer.close_code == 1000 and reader.close_code == 1000,
                f"{writer.close_code} {reader.close_code}")
    async with websockets.connect(url + "?auto=1") as again:
        await again.send(json.dumps({"id": 1, "op": "subscribe", "sub": "s", "topics": ["strangers"], "from": {"cursor": cursor}}))
        await again.send(json.dumps({"id": 2, "op": "produce", "topic": "strangers", "value": "after"}))
        values = []
        while not values:
            for one in map(json.loads, (await asyncio.wait_for(again.recv(), 10)).split("\n")):
                values += [record["v"] for record in one["r"]] if one.get("ev") == "records" else []
        table.check(name, "goes on at its cursor", values == ["after"], str(values))
    try:
        async with websockets.connect(url, extra_headers={"Origin": "http://evil.example"}):
            table.check(name, "a foreign origin", False, "was let in")
    except websockets.InvalidStatusCode as refused:
        table.check(name, "a foreign origin", refused.status_code == 403, str(refused))


NPM_WS = r"""
const WebSocket = require("ws");
const socket = new WebSocket(process.argv[1], ["troupe.v1.json"]);
const seen = [];
const acknowledged = [];
socket.on("open", () => {
  socket.send(JSON.stringify({ id: 1, op: "connect" }) + "\n" +
              JSON.stringify({ id: 2, op: "subscribe", sub: "s", topics: ["npm"], from: { earliest: true } }));
  for (let i = 0; i < 100; i++) socket.send(JSON.stringify({ id: i + 10, op: "produce", topic: "npm", value: { i } }));
  socket.ping();
});
let pongs = 0;
socket.on("pong", () => { pongs++; });
socket.on("message", (data, binary) => {
  for (const line of data.toString().split("\n")) {
    const one = JSON.parse(line);
    if (one.ev === "records") seen.push(...one.r.map((record) => record.v.i));
    else if (one.re >= 10 && one.ok) acknowledged.push(one.ok.o);
    else if (one.err) { console.log(line); process.exit(3); }
  }
  if (seen.length === 100 && acknowledged.length === 100 && !binary) socket.close(1000);
});
socket.on("close", (code) => {
  const inOrder = seen.every((value, index) => value === index) && acknowledged.every((value, index) => value === index);
  console.log(JSON.stringify({ code, seen: seen.length, acknowledged: acknowledged.length, inOrder, pongs,
                               protocol: socket.protocol, extensions: socket.extensions }));
});
socket.on("error", (error) => { console.log(String(error)); process.exit(4); });
"""


def check_npm(table, node):
    modules = os.path.join(SOURCE, "web", "node_modules")
    if not shutil.which("node") or not os.path.isdir(os.path.join(modules, "ws")):
        print("npm ws: left out, machine: no Node with web/node_modules/ws (npm ci in web/)")
        return
    done = subprocess.run(["node", "-e", NPM_WS, f"ws://127.0.0.1:{node.port}/v1/ws"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=30,
                          env={**os.environ, "NODE_PATH": modules}, check=False)
    said = done.stdout.decode()
    told = json.loads(said) if done.returncode == 0 and said.startswith("{") else {}
    table.check("npm ws", "100 written, 100 read, in order", told == {
        "code": 1000, "seen": 100, "acknowledged": 100, "inOrder": True, "pongs": 1, "protocol": "troupe.v1.json", "extensions": ""},
        said[:500])


def main():
    table = Table("clients")
    with fresh_folder() as folder:
        node = NodeProcess(PROGRAM, folder)
        try:
            node.start()
            for topic in ("strangers", "npm"):
                node.call("POST", "/v1/topics", {"name": topic})
            if shutil.which("curl"):
                table.guard("curl", "all", lambda: check_curl(table, node))
                table.guard("announcement", "all", lambda: check_announcement(table))
            else:
                print("curl: left out, machine: no curl")
            table.guard("python websockets", "all", lambda: asyncio.run(talk_with_websockets(table, node)))
            table.guard("npm ws", "all", lambda: check_npm(table, node))
            table.check("all", "no error in the log", not node.error_lines(), "\n".join(node.error_lines()[:3]))
            code, seconds = node.stop()
            table.check("all", "the node stops as ever", code == 0 and seconds < 2, f"{code} after {seconds:.2f} s")
        finally:
            node.end()
    return table.totals()


sys.exit(main())
