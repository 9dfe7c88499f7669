#!/usr/bin/env python3
"""System calls fail with errors of every kind. No writer dies of it; each error shows in a line that names file and errno;
nothing is acknowledged on a file after one of its syncs failed; and a restart finds everything that was acknowledged.

    errno_test.py WRITER VERIFIER
"""

import os
import sys

import support
import tracing

CALLS = "pwritev,pread64,fdatasync,fsync,ftruncate,openat,unlink,rename,mkdir,syncfs,getdents64,flock".split(",")
ERRNOS = "EIO,ENOSPC,EINTR,EDQUOT,EMFILE,EROFS,EAGAIN".split(",")
WHEN = ("1", "2", "5", "random", "from")
RETRIED = {"pwritev", "pread64", "fdatasync", "fsync", "ftruncate", "openat", "syncfs", "flock"}  # after EINTR
POINTS = 100
ALL_FROM_FACTOR = 3.5
OPTIONS = dict(turns=30, partitions=4, turn_batches=6, value_bytes_max=6000, segment_bytes=16384, commit_file_bytes=65536,
               commit_grow_bytes=16384, retention_records=60, dirty_files_max=3, pause_ms=0, on_error="continue",
               operations="truncate=8,reset=25,retention=4,start=8,checkpoint=10,read=2")


def when_of(kind, numbers, errno, name, dice):
    """strace counts all calls of a name; only those on our directory count here. None: there are not so many."""
    if kind == "random":
        return str(dice.choice(numbers))
    if kind == "from":
        first = dice.choice(numbers)
        # A call that is interrupted for ever is repeated for ever, and rightly.
        return f"{first}..{first + 20}" if errno == "EINTR" and name in RETRIED else f"{first}+"
    return str(numbers[int(kind) - 1]) if len(numbers) >= int(kind) else None


def silent(calls, errno, lines, bench):
    """Injected errors of which no line tells."""
    paths = {(call.name, call.path(bench.directory)) for call in calls if call.injected}
    told = [line for line in lines if errno in line]
    return [f"{name} of {os.path.relpath(path, bench.directory)} failed with {errno}, and no line says so"
            for name, path in sorted(paths, key=str)
            if path and not (errno == "EINTR" and name in RETRIED) and not any(path in line for line in told)
            and (name, errno) != ("flock", "EAGAIN")]  # says who holds the lock instead


def acknowledged_after_failed_sync(calls, acks, bench):
    """An ack is a write to the history. A failed sync of the commit log ends all of them, that of a segment its partition's."""
    acks_seen, wrong = 0, []
    failed = {}
    for call in calls:
        if call.name == "write" and call.path(bench.history) and '"ack ' in call.text:
            for path, before in failed.items():
                partition = os.path.basename(os.path.dirname(path))
                about = acks[acks_seen].split()[2:]
                if path.endswith(".commit") or any(entry.split(":")[0] == partition for entry in about):
                    wrong.append(f"acknowledged after the sync of {os.path.relpath(path, bench.directory)} failed (ack {before})")
            acks_seen += 1
        elif call.injected and call.name in ("fdatasync", "fsync") and "EINTR" not in call.text:
            path = call.path(bench.directory)
            if path and path.endswith((".commit", ".log")):
                failed.setdefault(path, acks_seen)
    return wrong[:1]


def run_case(bench, report, fresh, name, errno, when):
    bench.reset(fresh)
    begins = os.path.getsize(bench.history)
    traced = sorted({name, "write", "fdatasync", "fsync"})
    code, calls = bench.run(traced, f"{name}:error={errno}:when={when}")
    where = f"{'new' if fresh else 'left'} directory, inject={name}:error={errno}:when={when}"
    injected = sum(call.injected for call in calls)
    report.add("cases")
    report.add("in force", injected > 0)
    report.add("errors injected", injected)
    if code is None:
        report.fail(where, ["the writer hangs"])
    elif code not in (0, 1):
        report.fail(where, [f"the writer ended with {code}"])
    with open(bench.history, encoding="utf-8") as history:
        history.seek(begins)
        said = history.read().splitlines()
    with open(bench.log, encoding="utf-8", errors="replace") as log:
        logged = log.read().splitlines()
    report.add("lines of errors", sum(line.startswith("error ") for line in said))
    report.fail(where, silent(calls, errno, said + logged, bench))
    acks = [line for line in said if line.startswith("ack ")]
    report.fail(where, acknowledged_after_failed_sync(calls, acks, bench))
    violations, totals = bench.programs.verify(bench.directory, bench.history, unclean="allowed")
    report.add_totals(totals)
    report.fail(where, violations)


def main():
    programs = support.Programs(sys.argv[1], sys.argv[2])
    tracing.need_strace()
    report = support.Report("errno")
    dice = support.prng("errno")
    with support.Scratch("errno") as scratch:
        bench = tracing.Bench(scratch, programs, dict(OPTIONS, seed=dice.randrange(1 << 32)))
        bench.leave_crashed("pwritev:signal=KILL:when=150")
        cases = []
        for fresh in (True, False):
            bench.reset(fresh)
            code, calls = bench.run(CALLS)
            report.must(code == 0, f"without injection the writer ends with {code}")
            numbers = {name: [call.number for call in calls if call.name == name and call.path(bench.directory)] for name in CALLS}
            for name in CALLS:
                for errno in ERRNOS:
                    for kind in WHEN:
                        when = when_of(kind, numbers[name], errno, name, dice) if numbers[name] else None
                        if when:
                            cases.append((fresh, name, errno, when))
        report.counts["possible cases"] = len(cases)
        if support.FACTOR < ALL_FROM_FACTOR:
            # Some of each call, so that none is left out by chance.
            dice.shuffle(cases)
            by_call = {}
            for case in cases:
                by_call.setdefault(case[1], []).append(case)
            each = support.scaled(POINTS) // len(by_call) + 1
            cases = [case for some in by_call.values() for case in some[:each]]
        for case in cases:
            run_case(bench, report, *case)
        report.must(report.counts["in force"] * 20 >= report.counts["cases"] * 19, "too few injections were in force")
    report.finish()


main()
