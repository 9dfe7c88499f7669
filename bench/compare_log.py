#!/usr/bin/env python3
"""Holds the log against its ceiling: the same bytes, in the same run, in turn; medians of the rounds, ratios of each pair.

usage: compare_log.py BENCH_FOLDER WORK_FOLDER [--rounds N] [--quick]

BENCH_FOLDER holds log_ceiling and log_load; WORK_FOLDER is on the file system to measure and is created and removed.
Ratios are ours : ceiling, 1.0 is the ceiling itself; `must` and `aim` are the project's goals.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


class Case:
    def __init__(self, name, figure, must, aim, ceiling, ours, keep=()):
        self.name, self.figure, self.must, self.aim = name, figure, must, aim
        self.ceiling, self.ours = ceiling, ours
        self.keep = keep  # what the commands read, written by an earlier case
        self.pairs = []

    def measure(self, folder):
        for entry in os.listdir(folder):
            if entry in self.keep:
                continue
            path = os.path.join(folder, entry)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
        subprocess.run(["sync"], check=True)  # what is still to be written back is nobody's cost here
        time.sleep(0.5)
        self.pairs.append((run(*self.ceiling), run(*self.ours)))

    def report(self):
        def per_record(figures, key):
            return figures[key] / figures["records"]

        ratios = [per_record(c, self.figure) / per_record(o, self.figure) for c, o in self.pairs]
        cpu = [1e6 * statistics.median(per_record(f, "cpu_s") for f in side) for side in zip(*self.pairs)]
        rate = [statistics.median(f["records"] / f["wall_s"] for f in side) / 1e6 for side in zip(*self.pairs)]
        ratio = statistics.median(ratios)
        verdict = "aim" if ratio >= self.aim else "must" if ratio >= self.must else "BELOW"
        print(f"{self.name:34} {ratio:5.2f} ({min(ratios):.2f}..{max(ratios):.2f})  {self.must:.2f} / {self.aim:.2f}  {verdict:5}"
              f"  {cpu[0]:6.3f} {cpu[1]:6.3f} us   {rate[0]:6.2f} {rate[1]:6.2f} M/s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bench")
    parser.add_argument("work")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the batches: to see that it runs")
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    ceiling, load = (os.path.join(options.bench, name) for name in ("log_ceiling", "log_load"))
    os.makedirs(options.work)
    file, directory = os.path.join(options.work, "file"), os.path.join(options.work, "directory")

    batches = str(40_000 // scale)
    cases = [
        Case("append, flush = interval", "cpu_s", 0.25, 0.60, [ceiling, "append", file, batches],
             [load, "append", directory, batches, "1", "5", "interval"]),
        Case("read from the start", "cpu_s", 0.40, 0.80, [ceiling, "read", file], [load, "read", directory],
             keep=("file", "directory")),
    ]
    for partitions, in_flight, count in ((1, 5, 5_000), (100, 1, 20_000), (1000, 1, 40_000)):
        count = str(count // scale)
        cases.append(Case(f"synced append, {partitions} x {in_flight} in flight", "wall_s", 0.50, 0.80,
                          [ceiling, "synced", file, count, str(partitions * in_flight)],
                          [load, "append", directory, count, str(partitions), str(in_flight), "fsync"]))

    try:
        for _ in range(options.rounds):
            for case in cases:
                case.measure(options.work)
    finally:
        shutil.rmtree(options.work, ignore_errors=True)

    print(f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
          f"{options.rounds} rounds, batches of 16 KiB with records of 100 B; medians")
    print("the first two: records per CPU-second of the whole process; synced: records per second of wall clock")
    print(f"{'':34} ratio  (min..max)    must / aim           CPU a record            records a second")
    print(f"{'':34}                                          ceiling   ours          ceiling   ours")
    for case in cases:
        case.report()


if __name__ == "__main__":
    main()
