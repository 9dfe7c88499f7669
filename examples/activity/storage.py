#!/usr/bin/env python3
"""The group storage: writes every record of UserActivity into a SQLite table, once, in batches.

usage: storage.py FILE.sqlite [--url ws://127.0.0.1:8080/v1/ws]     (Debian's package python3-websockets)

A batch that was written and not acknowledged comes again. Its rows have their place in the log as their key, so they are there already.
"""

import argparse
import asyncio
import itertools
import json
import sqlite3

import websockets

TOPIC, GROUP = "UserActivity", "storage"
BATCH, SECONDS = 500, 0.2  # a transaction holds so many rows, or those of that time

TABLE = """CREATE TABLE IF NOT EXISTS activity (
  partition INTEGER, offset INTEGER, at_ms INTEGER, user TEXT, kind TEXT, value TEXT,
  PRIMARY KEY (partition, offset)) WITHOUT ROWID"""


def write(database, records):
    rows = [(one["p"], one["o"], one["ts"], one["v"]["user"], one["v"]["kind"], json.dumps(one["v"])) for one in records]
    with database:  # one transaction: all of it, or nothing
        database.executemany("INSERT OR IGNORE INTO activity VALUES (?, ?, ?, ?, ?, ?)", rows)


async def frames(socket):
    """What comes, one by one; None when nothing has come for a while."""
    while True:
        try:
            message = await asyncio.wait_for(socket.recv(), SECONDS)
        except asyncio.TimeoutError:
            yield None
            continue
        for frame in map(json.loads, message.splitlines()):
            yield frame


async def store(socket, database):
    numbers = itertools.count(1)
    batch = []

    async def say(**command):
        await socket.send(json.dumps(command))

    async def flush():
        if not batch:
            return
        write(database, batch)
        upto = {one["p"]: one["o"] for one in batch}  # the last of each partition
        await say(id=next(numbers), op="ack", sub="activity", upto={TOPIC: upto})
        await say(op="credit", sub="activity", msgs=len(batch))
        print(f"{len(batch)} rows", flush=True)
        batch.clear()

    await say(id=next(numbers), op="connect", client="storage", resume_grace_ms=0)
    await say(id=next(numbers), op="subscribe", sub="activity", topics=[TOPIC], group=GROUP, ack="manual",
              **{"from": {"committed": True, "else": "earliest"}}, credit={"msgs": 2 * BATCH})
    async for frame in frames(socket):
        match frame:
            case None:
                await flush()
            case {"ev": "records", "r": records}:
                batch += records
                if len(batch) >= BATCH:
                    await flush()
            case {"ev": "sub", "state": "revoking", "partitions": partitions}:
                await flush()
                await say(op="revoked", sub="activity", partitions=partitions)
            case {"ev": "sub", "state": "lost"}:
                batch.clear()  # others read these
            case {"re": 2, "err": error} | {"ev": "sub", "state": "ended", "err": error}:
                print(error["msg"], flush=True)  # refused, or no member any more
                return
            case {"err": error}:
                print(error["msg"], flush=True)
            case {"ev": "sub", "state": state, "partitions": partitions}:
                print(f"{state} {partitions.get(TOPIC)}", flush=True)


async def main():
    options = argparse.ArgumentParser(description="Writes UserActivity into SQLite.")
    options.add_argument("file")
    options.add_argument("--url", default="ws://127.0.0.1:8080/v1/ws")
    chosen = options.parse_args()
    database = sqlite3.connect(chosen.file)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")  # acknowledged is on the disk
    database.execute(TABLE)
    async for socket in websockets.connect(chosen.url, subprotocols=["troupe.v1.json"]):  # again and again
        try:
            await store(socket, database)
            await asyncio.sleep(1)  # perhaps there is no topic yet
        except websockets.ConnectionClosed as closed:
            print(f"{closed}; connects again", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
