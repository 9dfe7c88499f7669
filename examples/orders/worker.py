#!/usr/bin/env python3
"""A worker of the group OrderProcessors: handles its share of the orders, and says that one is done when the work on it is.

usage: worker.py [NAME] [--url ws://127.0.0.1:8080/v1/ws]     (Debian's package python3-websockets)
"""

import argparse
import asyncio
import itertools
import json
import os

import websockets

TOPIC, GROUP = "OrderRequests", "OrderProcessors"


async def handle(order):
    """The work. It may come twice for one order, if a worker dies right after it: so it should do no harm the second time."""
    await asyncio.sleep(0.1)
    return f"{order['quantity']} x {order['item']}"


async def work(socket, name):
    numbers = itertools.count(1)

    async def say(**command):
        await socket.send(json.dumps(command))

    # Without a grace time the others have this worker's partitions as soon as its connection is gone.
    await say(id=next(numbers), op="connect", client=name, resume_grace_ms=0)
    await say(id=next(numbers), op="subscribe", sub="orders", topics=[TOPIC], group=GROUP, ack="manual",
              **{"from": {"committed": True, "else": "earliest"}}, credit={"msgs": 10})
    async for message in socket:
        for frame in map(json.loads, message.splitlines()):
            match frame:
                case {"ev": "records", "r": records}:
                    for record in records:
                        done = await handle(record["v"])
                        print(f"{name}: order {record['v']['order']} (partition {record['p']}): {done}", flush=True)
                        # With an id it is stored at once, not within a second.
                        await say(id=next(numbers), op="ack", sub="orders", upto={TOPIC: {record["p"]: record["o"]}})
                        await say(op="credit", sub="orders", msgs=1)
                case {"ev": "sub", "state": "revoking", "partitions": partitions}:
                    # Frames come in order: what came of these partitions before is done by now.
                    await say(op="revoked", sub="orders", partitions=partitions)
                case {"re": 2, "err": error} | {"ev": "sub", "state": "ended", "err": error}:
                    print(f"{name}: {error['msg']}", flush=True)  # refused, or no member any more
                    return
                case {"err": error}:
                    print(f"{name}: {error['msg']}", flush=True)
                case {"ev": "sub", "state": state, "partitions": partitions}:
                    print(f"{name}: {state} {partitions.get(TOPIC)}", flush=True)


async def main():
    options = argparse.ArgumentParser(description="Handles orders.")
    options.add_argument("name", nargs="?", default=f"worker-{os.getpid()}")
    options.add_argument("--url", default="ws://127.0.0.1:8080/v1/ws")
    chosen = options.parse_args()
    async for socket in websockets.connect(chosen.url, subprotocols=["troupe.v1.json"]):  # again and again
        try:
            await work(socket, chosen.name)
            await asyncio.sleep(1)  # perhaps there is no topic yet
        except websockets.ConnectionClosed as closed:
            print(f"{chosen.name}: {closed}; connects again", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
