#!/usr/bin/env python3
"""The pages of a real node in a real Chromium.

    pages_test.py PROGRAM [SCREENSHOTS]

Starts the node with its demo, runs browser_test.mjs against it, which kills and starts it in between, and ends it. The npm packages
come from web/package-lock.json. Exit code 77: skipped, the reason is on the last line.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
WEB = os.path.join(HERE, "..", "..", "web")
sys.path.insert(0, os.path.join(HERE, "..", "integration", "node"))

from node_process import free_port  # noqa: E402


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(77)


def need_packages():
    if not shutil.which("node") or not shutil.which("npm"):
        skip("machine has no node or no npm")
    if os.path.isdir(os.path.join(WEB, "node_modules", "playwright-core")):
        return
    fetched = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=WEB, capture_output=True, text=True,
                             timeout=240, check=False)
    if fetched.returncode == 0:
        return
    if subprocess.run(["npm", "ping"], cwd=WEB, capture_output=True, timeout=30, check=False).returncode != 0:
        skip("machine cannot reach npm's registry")
    sys.exit(fetched.stderr)


def main():
    need_packages()
    program = os.path.abspath(sys.argv[1])
    screenshots = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory(prefix="troupe-pages-") as folder:
        port = free_port()
        pid_file = os.path.join(folder, "pid")
        start = (f"echo $$ > {pid_file}; exec {program} serve --demo --log-format json --data-dir {folder}/data "
                 f"--http 127.0.0.1:{port} 2>> {folder}/node.log")
        first = subprocess.Popen(["sh", "-c", start], stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            arguments = ["node", os.path.join(HERE, "browser_test.mjs"), "--url", f"http://127.0.0.1:{port}", "--kill",
                         f"kill -9 $(cat {pid_file})", "--start", start]
            if screenshots:
                arguments += ["--screenshots", screenshots]
            code = subprocess.run(arguments, timeout=420, check=False).returncode
            if code not in (0, 77):
                with open(f"{folder}/node.log", encoding="utf-8", errors="replace") as log:
                    print("".join(log.readlines()[-20:]))
        finally:
            first.poll()
            try:
                with open(pid_file, encoding="utf-8") as file:
                    os.kill(int(file.read()), signal.SIGKILL)
            except (OSError, ValueError):
                pass
            first.wait()
    sys.exit(code)


main()
