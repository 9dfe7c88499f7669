#!/usr/bin/env python3
"""Takes orders: makes the topic OrderRequests with 12 partitions, and writes an order now and then.

usage: shop.py [--url http://127.0.0.1:8080] [--rate ORDERS_A_SECOND] [--count N]
"""

import argparse
import itertools
import json
import random
import time
import urllib.error
import urllib.request

GOODS = ["espresso", "green tea", "cocoa", "water", "bagel", "apple"]


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def main():
    options = argparse.ArgumentParser(description="Takes orders.")
    options.add_argument("--url", default="http://127.0.0.1:8080")
    options.add_argument("--rate", type=float, default=10)
    options.add_argument("--count", type=int)
    chosen = options.parse_args()

    try:
        post(f"{chosen.url}/v1/topics", {"name": "OrderRequests", "partitions": 12})
    except urllib.error.HTTPError as refused:
        if refused.code != 409:  # it exists: fine
            raise
    for number in itertools.islice(itertools.count(1), chosen.count):
        order = {"order": number, "item": random.choice(GOODS), "quantity": random.randint(1, 4)}
        # The key chooses the partition: orders of one customer are handled one after the other.
        post(f"{chosen.url}/v1/topics/OrderRequests/records", {"records": [{"key": f"customer-{number % 50}", "value": order}]})
        print(f"ordered {number}", flush=True)
        time.sleep(1 / chosen.rate)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
