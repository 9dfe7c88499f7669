#!/usr/bin/env python3
"""examples/activity as its README has it: two groups that get everything, and a storage worker that is killed again and again.

    activity_test.py PROGRAM
"""

import os
import re
import signal
import sqlite3
import sys

from example_process import HERE, Stage

EVENTS = 4000


def rows(path):
    """What is in the table, as it is there: [((partition, offset), event)]."""
    if not os.path.exists(path):
        return []
    with sqlite3.connect(path, timeout=10) as database:
        try:
            return [((p, o), (user, kind)) for p, o, user, kind in database.execute("SELECT partition, offset, user, kind FROM activity")]
        except sqlite3.OperationalError:  # no table yet
            return []


def counted(analytics):
    """The sum of all that analytics printed."""
    lines = [line for line in analytics.lines if re.match(r"\d\d:\d\d:\d\d  ", line)]
    return sum(int(number) for line in lines for number in re.findall(r"[a-z]+ (\d+)", line))


def main():
    with Stage(sys.argv[1]) as stage:
        path = os.path.join(stage.folder.name, "activity.sqlite")
        # Before there is a topic: it waits for it.
        analytics = stage.start("activity/analytics.py", "--url", stage.ws, "--every", "2")
        stage.wait_for("it waits", lambda: analytics.matches("Topic not found"))
        visitors = stage.start("activity/visitors.py", "--url", stage.node.url, "--rate", "1500", "--count", str(EVENTS))
        for moment in ("before", "after"):
            dying = stage.start(os.path.join(HERE, "dying_storage.py"), moment, path, "--url", stage.ws)
            assert dying.end_by_itself() == -signal.SIGKILL, dying.lines[-5:]
        left_behind = len(rows(path))
        storage = stage.start("activity/storage.py", path, "--url", stage.ws)
        stage.wait_for("some rows more", lambda: len(rows(path)) > left_behind)
        storage.kill()
        storage = stage.start("activity/storage.py", path, "--url", stage.ws)
        assert visitors.end_by_itself() == 0, visitors.lines
        stage.wait_for("all rows", lambda: len(rows(path)) >= EVENTS)
        stage.wait_for("all is acknowledged", lambda: stage.is_done("storage"))
        stage.wait_for("all is counted", lambda: counted(analytics) >= EVENTS, 15)

        log = {(record["p"], record["o"]): (record["v"]["user"], record["v"]["kind"])
               for records in stage.node.read_all("UserActivity").values() for record in records}
        assert len(log) == EVENTS, len(log)
        assert sorted(rows(path)) == sorted(log.items()), "the table is not what the log is"
        assert counted(analytics) == EVENTS, counted(analytics)
        for one in (storage, analytics):
            assert one.interrupt() == 0, one.lines[-5:]
        assert not stage.node.error_lines(), stage.node.error_lines()
        print(f"activity: {EVENTS} rows and {EVENTS} counted; storage was killed three times")


main()
