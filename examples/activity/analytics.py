#!/usr/bin/env python3
"""The group analytics: counts UserActivity by kind, and prints a line for each minute when it is over.

usage: analytics.py [--url ws://127.0.0.1:8080/v1/ws] [--every SECONDS]     (Debian's package python3-websockets)

Records are acknowledged when their minute is printed: who is killed in the middle of a minute counts that minute anew. Several of them
share the partitions, and each prints its share.
"""

import argparse
import asyncio
import collections
import itertools
import json
import time

import websockets

TOPIC, GROUP = "UserActivity", "analytics"
LATE_S = 1  # what a record may take to come here


class Minutes:
    """Counts by minute and partition: a partition that is given up takes its counts along."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.counts = collections.defaultdict(collections.Counter)  # (minute, partition) -> kinds
        self.last = {}  # (minute, partition) -> offset

    def add(self, record):
        place = record["ts"] // (1000 * self.seconds), record["p"]
        self.counts[place][record["v"]["kind"]] += 1
        self.last[place] = record["o"]

    def forget(self, partitions):
        for place in [place for place in self.counts if place[1] in partitions]:
            del self.counts[place], self.last[place]

    def finish(self):
        """Prints the minutes that are over. Returns the last record of them in each partition."""
        now = (time.time() - LATE_S) // self.seconds
        upto = {}
        for minute in sorted({minute for minute, _ in self.counts if minute < now}):
            places = [place for place in self.counts if place[0] == minute]
            kinds = sum((self.counts.pop(place) for place in places), collections.Counter())
            clock = time.strftime("%H:%M:%S", time.localtime(minute * self.seconds))
            print(f"{clock}  " + "  ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())), flush=True)
            upto |= {partition: self.last.pop((minute, partition)) for _, partition in places}
        return upto


async def count(socket, minutes):
    numbers = itertools.count(1)

    async def say(**command):
        await socket.send(json.dumps(command))

    async def take(frame):
        """False: no member any more, or refused."""
        match frame:
            case {"ev": "records", "r": records}:
                for record in records:
                    minutes.add(record)
                await say(op="credit", sub="activity", msgs=len(records))
            case {"ev": "sub", "state": "revoking" | "lost" as state, "partitions": partitions}:
                minutes.forget(partitions.get(TOPIC, []))
                if state == "revoking":
                    await say(op="revoked", sub="activity", partitions=partitions)
            case {"re": 2, "err": error} | {"ev": "sub", "state": "ended", "err": error}:
                print(error["msg"], flush=True)
                return False
            case {"err": error}:
                print(error["msg"], flush=True)
        return True

    await say(id=next(numbers), op="connect", client="analytics", resume_grace_ms=0)
    await say(id=next(numbers), op="subscribe", sub="activity", topics=[TOPIC], group=GROUP, ack="manual",
              **{"from": {"committed": True, "else": "earliest"}}, credit={"msgs": 1000})
    while True:
        try:
            for frame in map(json.loads, (await asyncio.wait_for(socket.recv(), 0.2)).splitlines()):
                if not await take(frame):
                    return
        except asyncio.TimeoutError:
            pass
        if upto := minutes.finish():
            await say(id=next(numbers), op="ack", sub="activity", upto={TOPIC: upto})


async def main():
    options = argparse.ArgumentParser(description="Counts UserActivity.")
    options.add_argument("--url", default="ws://127.0.0.1:8080/v1/ws")
    options.add_argument("--every", type=int, default=60)
    chosen = options.parse_args()
    async for socket in websockets.connect(chosen.url, subprotocols=["troupe.v1.json"]):  # again and again
        try:
            await count(socket, Minutes(chosen.every))
            await asyncio.sleep(1)  # perhaps there is no topic yet
        except websockets.ConnectionClosed as closed:
            print(f"{closed}; connects again", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
