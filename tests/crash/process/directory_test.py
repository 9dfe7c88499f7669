#!/usr/bin/env python3
"""What people do to a data directory: start a second process on it, give it to another node, make it read-only, restore an old
backup, whole or in part. Each is refused in one line, or served as what it is; nothing is ever silently short.

    directory_test.py WRITER VERIFIER
"""

import glob
import os
import shutil
import subprocess
import sys

import support

OPTIONS = dict(turns=60, partitions=3, value_bytes_max=2000, segment_bytes=16384, commit_file_bytes=65536,
               commit_grow_bytes=16384, retention_records=1 << 40, operations="checkpoint=10")
NOBODY = 65534


class Directory:
    def __init__(self, programs, report, scratch, name):
        self.programs = programs
        self.report = report
        self.name = name
        self.directory = scratch.file(name)
        self.history = scratch.file(name + "-history")
        self.log = scratch.file(name + "-log")
        self.runs = 0

    def write(self, **options):
        """The exit code of a run that goes on with this directory, and what it said."""
        begins = os.path.getsize(self.history) if os.path.exists(self.history) else 0
        arguments = dict(OPTIONS, first_sequence=self.runs * support.FIRST_SEQUENCE_STEP, seed=self.runs, **options)
        self.runs += 1
        code = self.programs.start_writer(self.history, self.log, directory=self.directory, **arguments).wait(timeout=30)
        with open(self.history, encoding="utf-8") as history:
            history.seek(begins)
            return code, history.read().splitlines()

    def refused(self, words, command=(), user=None, **options):
        """A run that must end with exit code 1 and one line."""
        arguments = dict(OPTIONS, directory=self.directory, **options)
        done = subprocess.run([*command, self.programs.writer, *support.options_of(arguments)], capture_output=True, text=True,
                              timeout=30, user=user)
        lines = done.stdout.splitlines()
        self.report.add("refusals", done.returncode == 1)
        if done.returncode != 1 or len(lines) != 1 or not all(word in lines[0] for word in words):
            self.report.fail(self.name, [f"wanted exit code 1 and one line with {words}, got {done.returncode} and:"] + lines[:3])

    def verify(self, **options):
        violations, totals = self.programs.verify(self.directory, self.history, **options)
        self.report.add_totals(totals)
        self.report.fail(self.name, violations)


def two_processes(programs, report, scratch):
    first = Directory(programs, report, scratch, "two-processes")
    writer = programs.start_writer(first.history, first.log, directory=first.directory, **dict(OPTIONS, turns=0))
    try:
        support.wait_until(lambda: support.count_lines(first.history, "ack") > 5, 10, "writing")
        first.refused(["wrong_owner", "held by another process", f"pid {writer.pid}"])
        acks = support.count_lines(first.history, "ack")
        support.wait_until(lambda: support.count_lines(first.history, "ack") > acks + 5, 10, "the first one going on")
    finally:
        writer.kill()
        writer.wait()
    first.verify()  # the lock went with the process


def foreign_directory(programs, report, scratch):
    directory = Directory(programs, report, scratch, "foreign")
    directory.write()
    directory.refused(["wrong_owner", "belongs to node 1", "this is node 2"], node=2)
    directory.refused(["wrong_owner", "belongs to cluster", "this is cluster"], cluster=2)
    directory.verify()


def no_rights(programs, report, scratch):
    directory = Directory(programs, report, scratch, "rights")
    directory.write()
    if os.geteuid() == 0:
        program = scratch.file("log_writer")
        shutil.copy(programs.writer, program)
        os.chmod(scratch.path, 0o755)
        os.chmod(program, 0o755)
        nobody = Directory(support.Programs(program, programs.verifier), report, scratch, "rights")
        nobody.refused(["EACCES", directory.directory], user=NOBODY)
    scratch.mount(directory.directory, "--bind", directory.directory)
    subprocess.run(["mount", "-o", "remount,ro,bind", directory.directory], check=True)
    directory.refused(["EROFS", directory.directory])
    scratch.unmount(directory.directory)
    directory.verify()


def backup_of_all(programs, report, scratch):
    """Nobody here can tell that it is old; but it is a log, and it has all that was acknowledged before it was made."""
    directory = Directory(programs, report, scratch, "backup")
    directory.write()
    backup, backup_history = scratch.file("backup-copy"), scratch.file("backup-copy-history")
    shutil.copytree(directory.directory, backup)
    shutil.copyfile(directory.history, backup_history)
    directory.write()
    directory.verify()
    shutil.rmtree(directory.directory)
    os.rename(backup, directory.directory)
    os.rename(backup_history, directory.history)
    directory.verify()
    report.add("backups")


def backup_of_a_partition(programs, report, scratch):
    """Older than the checkpoints beside it: what is missing is named, and nothing is appended in its place."""
    directory = Directory(programs, report, scratch, "partial-backup")
    directory.write()
    partition = glob.glob(os.path.join(directory.directory, "partitions", "*", "1"))[0]
    backup = scratch.file("partition-copy")
    shutil.copytree(partition, backup)
    directory.write()
    shutil.rmtree(partition)
    os.rename(backup, partition)
    violations, _ = programs.verify(directory.directory, directory.history)
    report.must(any("partition 1 is damaged" in line for line in violations), "an old partition was not noticed")
    others = [line for line in violations if "partition 1" not in line and "/1 is damaged" not in line]
    report.fail("partial-backup", others)
    code, said = directory.write(on_error="continue")
    if code != 1 or not any(line.startswith("error ") and "damaged" in line for line in said):
        report.fail("partial-backup", [f"the damaged partition was written to (exit code {code})"] + said[-2:])
    if any(" 1:" in line for line in said if line.startswith("ack ")):
        report.fail("partial-backup", ["an append to the damaged partition was acknowledged"])
    report.must(any(" 0:" in line for line in said if line.startswith("ack ")), "the other partitions did not go on")
    report.add("backups")


def main():
    programs = support.Programs(sys.argv[1], sys.argv[2])
    support.enter_mount_namespace()
    report = support.Report("directory")
    with support.Scratch("directory") as scratch:
        two_processes(programs, report, scratch)
        foreign_directory(programs, report, scratch)
        backup_of_all(programs, report, scratch)
        backup_of_a_partition(programs, report, scratch)
        no_rights(programs, report, scratch)
    report.finish()


main()
