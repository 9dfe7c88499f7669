#!/usr/bin/env python3
"""No room, in every way that a kernel has: a full disk, no inodes, a limit of the file's size, a limit of descriptors. Writes are
refused and say why, reads go on, and when there is room again writes go on in the same process within two seconds.

    full_disk_test.py WRITER VERIFIER
"""

import os
import resource
import subprocess
import sys
import time

import support

RESUME_SECONDS = 2
BALLAST_BYTES = 6 << 20
OPTIONS = dict(turns=0, partitions=4, turn_batches=4, on_error="continue", pause_ms=5, operations="read=2,checkpoint=50",
               retention_records=1 << 40, value_bytes_max=20_000)


def said(path, words, offset=0):
    with open(path, encoding="utf-8") as lines:
        lines.seek(offset)
        return [line for line in lines if line.startswith(words)]


class Case:
    """One way to run out of something. `fill` makes it scarce, `give` brings it back."""

    def __init__(self, name, programs, report, scratch, directory, refusal, **options):
        self.name = name
        self.programs = programs
        self.report = report
        self.directory = directory
        self.refusal = refusal
        self.history = scratch.file(name + "-history")
        self.log = scratch.file(name + "-log")
        self.options = dict(OPTIONS, seed=support.prng(name).randrange(1 << 32), **options)

    def size(self):
        return os.path.getsize(self.history)

    def since_last_ack(self):
        """(size of the history, refusals, reads) of the time in which nothing was acknowledged."""
        with open(self.history, encoding="utf-8") as history:
            lines = history.read()
        size = len(lines.encode())
        tail = lines[lines.rfind("\nack ") + 1:].splitlines()
        return size, sum(line.startswith(self.refusal) for line in tail), sum(line.startswith("read ") for line in tail)

    def refuses_everything(self):
        return self.since_last_ack()[1] >= 50

    def run(self, fill, give):
        writer = self.programs.start_writer(self.history, self.log, directory=self.directory, **self.options)
        try:
            support.wait_until(lambda: support.count_lines(self.history, "ack") >= 20, 10, "writing")
            fill(writer.pid)
            support.wait_until(lambda: said(self.history, self.refusal), 20, f"the refusal ({self.refusal})")
            support.wait_until(self.refuses_everything, 20, "a time in which nothing is acknowledged, whatever its size")
            begins, _, _ = self.since_last_ack()
            support.wait_until(lambda: self.since_last_ack()[2] > 0, 5, "a read while it is full")
            _, refusals, reads = self.since_last_ack()
            if reads == 0:
                self.report.fail(self.name, ["no reads while it is full"])
            others = [line.strip() for line in said(self.history, "error ", 0) if not line.startswith(self.refusal)]
            self.report.fail(self.name, sorted(set(others))[:3])
            begins = self.size()
            freed = time.monotonic()
            give(writer.pid)
            support.wait_until(lambda: said(self.history, "ack ", begins), RESUME_SECONDS, "an ack after there was room again")
            seconds = time.monotonic() - freed
            support.wait_until(lambda: support.count_lines(self.history, "ack", begins) >= 3, RESUME_SECONDS, "writing on")
            self.report.must(writer.poll() is None, f"{self.name}: the writer ended")
            self.report.add("cases")
            self.report.add("refusals while full", refusals)
            self.report.add("reads while full", reads)
            self.report.counts["slowest resume ms"] = max(self.report.counts.get("slowest resume ms", 0), round(seconds * 1000))
        except RuntimeError as error:
            last = said(self.history, "error ")[-1:] or ["no errors"]
            self.report.fail(self.name, [f"{error}; {last[0].strip()}"])
        finally:
            writer.kill()
            writer.wait()
        violations, totals = self.programs.verify(self.directory, self.history)
        self.report.add_totals(totals)
        self.report.fail(self.name, violations)


def full_file_system(name, programs, report, scratch, mount):
    mount_point = scratch.file(name)
    mount(mount_point)
    ballast = os.path.join(mount_point, "ballast")
    with open(ballast, "wb") as out:
        out.write(b"\0" * BALLAST_BYTES)
    os.sync()
    Case(name, programs, report, scratch, os.path.join(mount_point, "data"), "error storage_full").run(
        lambda pid: None, lambda pid: os.unlink(ballast))
    scratch.unmount(mount_point)


def mount_ext4(scratch, mount_point):
    image = scratch.file("image")
    support.make_image(image, "ext4", 16)
    scratch.mount(mount_point, "-o", "loop", image)


def no_inodes(programs, report, scratch):
    mount_point = scratch.file("inodes")
    scratch.mount(mount_point, "-t", "tmpfs", "-o", "size=256m,nr_inodes=400", "tmpfs")
    ballast = [os.path.join(mount_point, f"ballast-{i}") for i in range(100)]
    for path in ballast:
        with open(path, "wb"):
            pass

    def give(unused_pid):
        for path in ballast:
            os.unlink(path)

    Case("no-inodes", programs, report, scratch, os.path.join(mount_point, "data"), "error storage_full",
         segment_bytes=16384).run(lambda pid: None, give)
    scratch.unmount(mount_point)


def file_size_limit(programs, report, scratch):
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    Case("file-size", programs, report, scratch, scratch.file("data-file-size"), "error storage_full").run(
        lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY)),
        lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited))


def descriptor_limit(programs, report, scratch):
    """200 partitions, 64 descriptors. A budget below the limit keeps it from being met; without one, the limit is named and a
    restart finds everything."""
    for budget in (True, False):
        directory, history = scratch.file(f"data-descriptors-{budget}"), scratch.file(f"history-{budget}")
        options = dict(OPTIONS, turns=300, partitions=200, value_bytes_max=200)
        if budget:
            options.update(open_files_max=16, dirty_files_max=16, on_error="stop")
        writer = programs.start_writer(history, scratch.file("log"), ("prlimit", "--nofile=64"), directory=directory, seed=7, **options)
        code = writer.wait(timeout=60)
        errors = said(history, "error ")
        report.add("cases")
        if budget and code != 0:
            report.fail("descriptors, with a budget", [f"the writer ended with {code}"] + errors[:1])
        if not budget:
            report.must(any("RLIMIT_NOFILE" in line for line in errors), "the limit of descriptors was never met")
            if code != 1:
                report.fail("descriptors, without a budget", [f"the writer ended with {code}"])
        violations, totals = programs.verify(directory, history)
        report.add_totals(totals)
        report.fail(f"descriptors, budget {budget}", violations)


def main():
    programs = support.Programs(sys.argv[1], sys.argv[2])
    support.need_program("mkfs.ext4", "e2fsprogs")
    support.enter_mount_namespace()
    report = support.Report("full_disk")
    for _ in range(support.scaled(1)):
        with support.Scratch("full-disk") as scratch:
            full_file_system("full-ext4", programs, report, scratch, lambda where: mount_ext4(scratch, where))
            full_file_system("full-tmpfs", programs, report, scratch,
                             lambda where: scratch.mount(where, "-t", "tmpfs", "-o", "size=16m", "tmpfs"))
            no_inodes(programs, report, scratch)
            file_size_limit(programs, report, scratch)
            descriptor_limit(programs, report, scratch)
    report.finish()


main()
