#!/usr/bin/env python3
"""Power cuts on real file systems: a writer is stopped in full flight, its file system loses everything that was not synced,
and a restart must find every record that was acknowledged.

    power_cut_test.py WRITER VERIFIER ext4|xfs fsync|interval
"""

import ctypes
import fcntl
import os
import shutil
import signal
import sys
import time

import support

SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN, the same for ext4 and XFS
NO_LOG_FLUSH = 2  # not even the journal is written: what a power cut leaves
CYCLES = {"fsync": 50, "interval": 12}
DIRECTORY_CYCLES = 5  # power cuts that one data directory lives through
FLUSH_INTERVAL_MS = 30


def cut_power(mount_point):
    descriptor = os.open(mount_point, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, SHUTDOWN, ctypes.c_uint32(NO_LOG_FLUSH))
    finally:
        os.close(descriptor)


def refused(mount_point):
    """Whether the file system answers no more: the proof that the power is off."""
    try:
        with open(os.path.join(mount_point, "after"), "wb"):
            return False
    except OSError:
        return True


def write_probe(path):
    """Never synced, so that it must not be there after the cut, unless the kernel wrote it back by itself."""
    with open(path, "wb") as probe:
        probe.write(b"x" * 4096)


def last_flush_ms(history, offset):
    with open(history, "rb") as lines:
        lines.seek(offset)
        flushes = [line for line in lines if line.startswith(b"flushed ")]
    return int(flushes[-1].split()[1]) if flushes else None


def main():
    programs = support.Programs(sys.argv[1], sys.argv[2])
    file_system, flush = sys.argv[3], sys.argv[4]
    support.need_program(f"mkfs.{file_system}", {"ext4": "e2fsprogs", "xfs": "xfsprogs"}[file_system])
    support.enter_mount_namespace()
    report = support.Report(f"power_cut {file_system} {flush}")
    dice = support.prng(file_system, flush)
    with support.Scratch("power-cut") as scratch:
        image, mount_point = scratch.file("image"), scratch.file("mount")
        support.make_image(image, file_system, 512)
        scratch.mount(mount_point, "-o", "loop", image)
        for cycle in range(support.scaled(CYCLES[flush])):
            life = cycle // DIRECTORY_CYCLES
            directory = os.path.join(mount_point, f"data-{life}")
            history, log = scratch.file(f"history-{life}"), scratch.file("log")
            if cycle % DIRECTORY_CYCLES == 0 and life > 0:
                shutil.rmtree(os.path.join(mount_point, f"data-{life - 1}"))
            report.add("cycles")
            run_begins = os.path.getsize(history) if os.path.exists(history) else 0
            writer = programs.start_writer(
                history, log, directory=directory, flush=flush, seed=dice.randrange(1 << 32), turns=0,
                partitions=dice.choice((1, 3, 8)), turn_batches=dice.choice((1, 4, 16)),
                first_sequence=(cycle % DIRECTORY_CYCLES) * support.FIRST_SEQUENCE_STEP,
                value_bytes_max=dice.choice((200, 20_000, 100_000)), flush_interval_ms=FLUSH_INTERVAL_MS,
                pace_ms=0 if flush == "fsync" else 1)
            try:
                tail = support.Tail(history, run_begins)
                verb, wanted = ("ack", dice.randrange(1, 120)) if flush == "fsync" else ("flushed", dice.randrange(1, 4))
                support.wait_until(lambda: tail.count(verb) >= wanted, 10, f"{wanted} {verb}")
                if flush == "interval":
                    wanted = tail.count("ack") + dice.randrange(1, 200)
                    support.wait_until(lambda: tail.count("ack") >= wanted, 10, f"{wanted} acks")
                probe = os.path.join(mount_point, f"probe-{cycle}")
                write_probe(probe)
                os.kill(writer.pid, signal.SIGSTOP)
                support.wait_until(lambda: support.state_of(writer.pid) in "TZ", 10, "the stop")
                report.must(support.state_of(writer.pid) == "T", f"cycle {cycle}: the writer ended by itself")
                cut_power(mount_point)
                cut_ms = time.monotonic() * 1000
                report.add("cuts in force", refused(mount_point))
            finally:
                writer.kill()
                writer.wait()
            scratch.unmount(mount_point)
            scratch.mount(mount_point, "-o", "loop", image)
            report.add("unsynced probes gone", not os.path.exists(probe) or os.path.getsize(probe) == 0)
            report.add("acks", tail.count("ack"))
            flushed_ms = last_flush_ms(history, run_begins)
            if flush == "interval" and flushed_ms is not None:
                # What is in doubt is not older than this: the interval, a turn, and the time that a sync takes.
                window = cut_ms - flushed_ms
                report.counts["widest window ms"] = max(report.counts.get("widest window ms", 0), round(window))
            violations, totals = programs.verify(directory, history, unclean="allowed",
                                                 loss="none" if flush == "fsync" else "unflushed")
            report.add_totals(totals)
            report.fail(f"cycle {cycle}", violations)
            if violations:
                break
        counts = report.counts
        report.must(counts["cuts in force"] == counts["cycles"], "the file system went on after a cut")
        report.must(counts["unsynced probes gone"] * 2 > counts["cycles"], "cuts lost nothing, so they prove nothing")
        report.must(flush == "fsync" or counts["acks_lost"] > 0, "no cut lost what was not flushed")
    report.finish()


main()
