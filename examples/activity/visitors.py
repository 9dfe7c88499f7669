#!/usr/bin/env python3
"""What users do, written to the topic UserActivity in batches.

usage: visitors.py [--url http://127.0.0.1:8080] [--rate EVENTS_A_SECOND] [--count N]
"""

import argparse
import json
import random
import time
import urllib.error
import urllib.request

KINDS = ["view"] * 8 + ["search"] * 3 + ["cart"] * 2 + ["buy"]


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def main():
    options = argparse.ArgumentParser(description="Writes what users do.")
    options.add_argument("--url", default="http://127.0.0.1:8080")
    options.add_argument("--rate", type=int, default=100)
    options.add_argument("--count", type=int, default=10**9)
    chosen = options.parse_args()

    try:
        post(f"{chosen.url}/v1/topics", {"name": "UserActivity", "partitions": 6})
    except urllib.error.HTTPError as refused:
        if refused.code != 409:  # it exists: fine
            raise
    written = 0
    while written < chosen.count:
        size = min(max(1, chosen.rate // 10), chosen.count - written)
        events = [{"event": written + i, "user": f"user-{random.randint(1, 500)}", "kind": random.choice(KINDS)} for i in range(size)]
        post(f"{chosen.url}/v1/topics/UserActivity/records",
             {"records": [{"key": event["user"], "value": event} for event in events]})
        written += size
        time.sleep(size / chosen.rate)
    print(f"wrote {written} events")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
