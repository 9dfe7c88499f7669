"""What the process tests share: scratch folders, loop mounts that always go again, writer and verifier runs, skips.

Environment: TROUPE_SEED chooses the seed, TROUPE_CRASH_FACTOR multiplies the number of cycles and points.
"""

import ctypes
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
FACTOR = float(os.environ.get("TROUPE_CRASH_FACTOR", "1"))
SEED = int(os.environ.get("TROUPE_SEED", "20240229"))
FIRST_SEQUENCE_STEP = 1_000_000


def skip(reason):
    """Ends the test; ctest and ./run understand. `reason` begins with "machine: " or says which package is missing."""
    print(f"SKIPPED: {reason}")
    sys.exit(77)


def need_program(name, package):
    if shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
        skip(f"package {package} is missing")


def die_with_parent():
    """In a child, before it becomes another program: a test that ctest kills leaves nobody behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def enter_mount_namespace():
    """Runs this script once more in a mount namespace of its own: whatever ends it, its mounts and loop devices go with it."""
    if os.environ.get("TROUPE_MOUNT_NAMESPACE") == str(os.getppid()):
        return
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        skip(f"machine: no mount namespaces ({probe.stderr.strip()})")
    environment = dict(os.environ, TROUPE_MOUNT_NAMESPACE=str(os.getpid()))
    child = subprocess.Popen(["unshare", "--mount", "--propagation", "private", sys.executable] + sys.argv,
                             env=environment, preexec_fn=die_with_parent)
    sys.exit(child.wait())


class Scratch:
    """A folder of this test, on memory where there is some: these tests are about what is kept, not about how fast."""

    def __init__(self, name):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 2 << 30 else None
        self.path = tempfile.mkdtemp(prefix=f"troupe-{name}-", dir=base)
        self.mounts = []

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for mount in reversed(self.mounts):
            subprocess.run(["umount", "--lazy", mount], capture_output=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name):
        return os.path.join(self.path, name)

    def mount(self, where, *arguments):
        os.makedirs(where, exist_ok=True)
        done = subprocess.run(["mount", *arguments, where], capture_output=True, text=True)
        if done.returncode != 0:
            skip(f"machine: mount {' '.join(arguments)} is not allowed ({done.stderr.strip()})")
        self.mounts.append(where)

    def unmount(self, where):
        wait_until(lambda: subprocess.run(["umount", where], capture_output=True).returncode == 0, 5, f"umount {where}")
        self.mounts.remove(where)


def make_image(path, file_system, megabytes, *options):
    with open(path, "wb") as image:
        image.truncate(megabytes << 20)
    quiet = ["-F", "-q"] if file_system.startswith("ext") else ["-f", "-q"]
    subprocess.run([f"mkfs.{file_system}", *quiet, *options, path], check=True, capture_output=True,
                   env=dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"))


def options_of(arguments):
    return [f"--{name.replace('_', '-')}={value}" for name, value in arguments.items()]


class Programs:
    """The writer and the verifier, and one history file for one data directory."""

    def __init__(self, writer, verifier):
        self.writer = writer
        self.verifier = verifier

    def start_writer(self, history, log, wrapper=(), **options):
        """Runs at once; what it says is appended to the file `history`, its log lines to the file `log`."""
        with open(history, "ab") as out, open(log, "ab") as err:
            return subprocess.Popen([*wrapper, self.writer, *options_of(options)], stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=err, preexec_fn=die_with_parent)

    def verify(self, directory, history, **options):
        """(what is wrong, totals)"""
        done = subprocess.run([self.verifier, *options_of(dict(options, directory=directory, history=history))],
                              capture_output=True, text=True, timeout=60)
        lines = done.stdout.splitlines()
        violations = [line for line in lines if line.startswith("VIOLATION")]
        if done.returncode != 0 and not violations:
            violations = [f"VIOLATION the verifier ended with {done.returncode}: {done.stderr[-500:]}"]
        totals = {}
        if lines and lines[-1].startswith("{"):
            totals = json.loads(lines[-1])
        return violations, totals


class Report:
    """Counts, and what went wrong. Every test ends with its line of counts; without them a pass would say nothing."""

    def __init__(self, name):
        self.name = name
        self.counts = {}
        self.failures = []
        self.started = time.monotonic()
        print(f"{name}: TROUPE_SEED={SEED} TROUPE_CRASH_FACTOR={FACTOR:g}", flush=True)

    def add(self, what, number=1):
        self.counts[what] = self.counts.get(what, 0) + number

    def add_totals(self, totals):
        for what in ("acks_found", "acks_lost", "unclean", "repaired_batches"):
            self.add(what, totals.get(what, 0))

    def fail(self, where, lines):
        for line in lines[:8]:
            self.failures.append(f"{where}: {line}")
            print(f"FAILED {where}: {line}", flush=True)

    def must(self, condition, what):
        """A fault that was not in force, or an operation that never ran: the test has shown nothing."""
        if not condition:
            self.fail("in force", [what])

    def finish(self):
        counts = ", ".join(f"{what} {number}" for what, number in self.counts.items())
        print(f"{self.name}: {counts}, seconds {time.monotonic() - self.started:.1f}, failures {len(self.failures)}")
        sys.exit(1 if self.failures else 0)


def scaled(number):
    return max(1, round(number * FACTOR))


def prng(*salt):
    return random.Random(":".join(map(str, (SEED, *salt))))


def wait_until(condition, seconds, what):
    """Looks again and again, a few hundred times a second."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        select.select([], [], [], 0.003)
    raise RuntimeError(f"{what} did not happen within {seconds} s")


def state_of(pid):
    """R, S, D, T, Z ..., or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except OSError:
        return None


class Tail:
    """Counts the lines that a growing file gains, each of them read once."""

    def __init__(self, path, offset=0):
        self.path = path
        self.offset = offset
        self.counts = {}

    def count(self, verb):
        if os.path.exists(self.path):
            with open(self.path, "rb") as lines:
                lines.seek(self.offset)
                text = lines.read()
            whole = text[:text.rfind(b"\n") + 1]
            self.offset += len(whole)
            for line in whole.splitlines():
                word = line.split(b" ", 1)[0].decode()
                self.counts[word] = self.counts.get(word, 0) + 1
        return self.counts.get(verb, 0)


def count_lines(path, verb, offset=0):
    try:
        with open(path, "rb") as lines:
            lines.seek(offset)
            return sum(line.startswith(verb.encode() + b" ") for line in lines)
    except FileNotFoundError:
        return 0
