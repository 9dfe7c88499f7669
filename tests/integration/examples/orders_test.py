#!/usr/bin/env python3
"""examples/orders as its README has it: three workers, one of them killed.

    orders_test.py PROGRAM

Every order is handled, in order within its partition; twice only what the dead worker had handled and not acknowledged yet.
"""

import collections
import re
import sys
import time

from example_process import Stage

ORDERS = 150
HANDLED = re.compile(r"(\w+): order (\d+) \(partition (\d+)\): \d x ")


def handled_by(worker):
    """[(order, partition)], as it printed them."""
    return [(int(found[2]), int(found[3])) for found in map(HANDLED.match, worker.lines) if found]


def shares(stage):
    """Partitions of each member, when the group is at rest."""
    group = stage.group("OrderProcessors")
    return {one["client_id"]: len(one["assigned"]) for one in group["members"]} if group["state"] == "stable" else {}


def main():
    with Stage(sys.argv[1]) as stage:
        shop = stage.start("orders/shop.py", "--url", stage.node.url, "--rate", "40", "--count", str(ORDERS))
        stage.wait_for("the first order", lambda: shop.lines)
        workers = {name: stage.start("orders/worker.py", name, "--url", stage.ws) for name in ("ana", "ben", "chloe")}
        stage.wait_for("four partitions for each", lambda: shares(stage) == {"ana": 4, "ben": 4, "chloe": 4})
        stage.wait_for("each has work", lambda: all(len(handled_by(one)) >= 8 for one in workers.values()))

        workers["ben"].kill()
        killed = time.monotonic()
        stage.wait_for("the others have all of it", lambda: shares(stage) == {"ana": 6, "chloe": 6})
        print(f"ben's partitions had owners {time.monotonic() - killed:.2f} s after kill -9")
        assert shop.end_by_itself() == 0, shop.lines[-3:]
        stage.wait_for("every order is handled", lambda: len({order for one in workers.values() for order, _ in handled_by(one)}) == ORDERS)
        stage.wait_for("the group is at its end", lambda: stage.is_done("OrderProcessors"))

        for name in ("ana", "chloe"):
            assert workers[name].interrupt() == 0, workers[name].lines[-5:]
        stage.wait_for("nobody is left", lambda: stage.group("OrderProcessors")["state"] == "empty", 5)

        times = collections.Counter(order for one in workers.values() for order, _ in handled_by(one))
        assert set(times) == set(range(1, ORDERS + 1)), "orders that nobody took"
        twice = {order for order, count in times.items() if count > 1}
        # It acknowledges one by one: at most what it had just printed.
        last_of_ben = {order for order, _ in handled_by(workers["ben"])[-2:]}
        assert twice <= last_of_ben, f"{twice} were handled twice, ben's last are {last_of_ben}"
        for name, worker in workers.items():
            by_partition = collections.defaultdict(list)
            for order, partition in handled_by(worker):
                by_partition[partition].append(order)
            assert all(orders == sorted(set(orders)) for orders in by_partition.values()), f"{name}: {dict(by_partition)}"
        assert not stage.node.error_lines(), stage.node.error_lines()
        print(f"orders: {ORDERS} handled by {({name: len(handled_by(one)) for name, one in workers.items()})}, {len(twice)} twice")


main()
