#!/usr/bin/env python3
"""examples/notifications as its README has it: mentions and a geofence, told in the chat's room "alerts"; also what was said while
nobody was there. Exit code 77: skipped, no node with a WebSocket.

    notifications_test.py PROGRAM
"""

import shutil
import subprocess
import sys

from example_process import Stage


def interpreter():
    node = shutil.which("node")
    if not node:
        print("SKIPPED: machine has no node")
        sys.exit(77)
    command = (node, "--experimental-websocket")
    probe = [*command, "-e", "new WebSocket('ws://127.0.0.1:1').onerror = () => {}"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        print("SKIPPED: machine has a node without WebSocket, 20.10 is wanted")
        sys.exit(77)
    return command


def main():
    how = {"interpreter": interpreter()}
    with Stage(sys.argv[1]) as stage:
        def write(topic, key, value):
            stage.node.call("POST", f"/v1/topics/{topic}/records", {"records": [{"key": key, "value": value}]})

        def alerts():
            page = stage.node.call("GET", "/v1/topics/ChatMessages/records?from=earliest&key=alerts&limit=100")
            return [record["v"]["text"] for record in page["records"]]

        for topic in ("ChatMessages", "DriverLocations"):
            stage.node.call("POST", "/v1/topics", {"name": topic, "partitions": 4})
        notifier = stage.start("notifications/notifier.mjs", "--url", stage.ws, **how)
        for group in ("notifications", "geofence"):
            stage.wait_for(f"{group} has its partitions", lambda group=group: notifier.matches(f"{group}: assigned"))
        write("ChatMessages", "lobby", {"from": "ben", "text": "hi @ana, and @chloe"})
        write("DriverLocations", "d7", {"lat": 51.53, "lon": -0.128})
        write("DriverLocations", "d7", {"lat": 51.5081, "lon": -0.1281})
        wanted = ["@ana: ben spoke of you in #lobby", "@chloe: ben spoke of you in #lobby", "d7 has come to Trafalgar Square"]
        stage.wait_for("three alerts", lambda: sorted(alerts()) == sorted(wanted), 15)

        stage.wait_for("they are done", lambda: stage.is_done("notifications") and stage.is_done("geofence"))
        notifier.kill()
        write("ChatMessages", "code", {"from": "dan", "text": "@ben where are you?"})
        notifier = stage.start("notifications/notifier.mjs", "--url", stage.ws, **how)
        stage.wait_for("a fourth", lambda: sorted(alerts()) == sorted([*wanted, "@ben: dan spoke of you in #code"]), 15)
        assert notifier.interrupt() == 0, notifier.lines
        stage.wait_for("nobody is left", lambda: stage.group("notifications")["state"] == "empty", 5)
        assert not stage.node.error_lines(), stage.node.error_lines()
        print(f"notifications: {alerts()}")


main()
