#!/usr/bin/env python3
"""A writer is killed at the entry of its N-th system call, for many N: in a directory that it makes, and in one that a killed
writer left. A restart must find everything that was acknowledged, and no file of ours half replaced.

    kill_points_test.py WRITER VERIFIER
"""

import signal
import sys

import support
import tracing

CALLS = ("write,pwrite64,pwritev,fdatasync,fsync,ftruncate,rename,openat,unlink,fallocate,syncfs,mkdir").split(",")
POINTS = 150
ALL_FROM_FACTOR = 10
OPTIONS = dict(turns=40, partitions=4, turn_batches=6, value_bytes_max=6000, segment_bytes=16384, commit_file_bytes=65536,
               commit_grow_bytes=16384, retention_records=60, dirty_files_max=3,
               operations="truncate=8,reset=25,retention=4,start=8,checkpoint=10")


def points_of(calls, directory, history, number, dice):
    """Of each kind of call some, of the frequent ones more."""
    kinds = {}
    for call in calls:
        if call.path(directory) or call.path(history):
            kinds.setdefault(call.name, []).append(call.number)
    if support.FACTOR >= ALL_FROM_FACTOR:
        return [(name, at) for name, numbers in kinds.items() for at in numbers]
    few = max(4, number // (2 * len(kinds)))
    chosen = {(name, at) for name, numbers in kinds.items() for at in dice.sample(numbers, min(few, len(numbers)))}
    rest = sorted({(name, at) for name, numbers in kinds.items() for at in numbers} - chosen)
    chosen.update(dice.sample(rest, max(0, min(number - len(chosen), len(rest)))))
    return sorted(chosen)


def main():
    programs = support.Programs(sys.argv[1], sys.argv[2])
    tracing.need_strace()
    report = support.Report("kill_points")
    dice = support.prng("kill")
    with support.Scratch("kill-points") as scratch:
        bench = tracing.Bench(scratch, programs, dict(OPTIONS, seed=dice.randrange(1 << 32)))
        bench.leave_crashed("pwritev:signal=KILL:when=150")
        for fresh in (True, False):
            where = "new directory" if fresh else "left directory"
            bench.reset(fresh)
            code, calls = bench.run(CALLS)
            report.must(code == 0, f"{where}: the writer that nobody kills ends with {code}")
            report.counts[f"calls in {where}"] = len(calls)
            for name, number in points_of(calls, bench.directory, bench.history, support.scaled(POINTS) // 2, dice):
                bench.reset(fresh)
                code, _ = bench.run(CALLS, f"{name}:signal=KILL:when={number}")
                report.add("points")
                report.add("kills", code == -signal.SIGKILL)
                report.add(f"at {name}", code == -signal.SIGKILL)
                violations, totals = programs.verify(bench.directory, bench.history)
                report.add_totals(totals)
                report.fail(f"{where}, killed at {name} number {number}", violations)
        report.must(report.counts["kills"] * 20 >= report.counts["points"] * 19, "not every point was reached")
    report.finish()


main()
