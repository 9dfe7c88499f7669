"""strace: which calls a writer makes on its directory, and runs in which one of them fails or is its last."""

import os
import re
import shutil
import subprocess

import support

CALL = re.compile(r"^(\d+) +([a-z_0-9]+)\((.*)$")
PATHS = re.compile(r'<(/[^>]*)>|"(/[^"]*)"')


def need_strace():
    support.need_program("strace", "strace")
    probe = subprocess.run(["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync", "true"],
                           capture_output=True, text=True)
    if probe.returncode != 0:
        support.skip(f"machine: strace may not trace ({probe.stderr.strip()[:100]})")


class Call:
    """One line of a trace: what was called, its how-many-th call of that name, and what it was about."""

    def __init__(self, name, number, text):
        self.name = name
        self.number = number
        self.text = text
        self.injected = text.endswith("(INJECTED)")
        self.killed = "<unavailable>" in text

    def path(self, below):
        """The file of ours that the call is about; None for others'."""
        for groups in PATHS.findall(self.text):
            for path in groups:
                if path.startswith(below + "/") or path == below:
                    return path
        return None


def read_trace(path):
    calls, numbers = [], {}
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            match = CALL.match(line.rstrip("\n"))
            if match:
                name = match.group(2)
                numbers[name] = numbers.get(name, 0) + 1
                calls.append(Call(name, numbers[name], match.group(3)))
    return calls


def strace(trace, calls, inject=None):
    """The command line before the program's. `-y`: descriptors are shown with their files."""
    command = ["strace", "-f", "-qq", "-y", "-s", "16", "-o", trace, "-e", "trace=" + ",".join(calls)]
    if inject and "signal=" not in inject:
        command.append("--seccomp-bpf")  # faster, but with it strace 6.1 delivers no signal
    return command + (["-e", f"inject={inject}"] if inject else [])


class Bench:
    """A data directory that is put back before each run: fresh, or as a killed writer left it."""

    def __init__(self, scratch, programs, options):
        self.directory = scratch.file("data")
        self.history = scratch.file("history")
        self.log = scratch.file("log")
        self.trace = scratch.file("trace")
        self.left_directory = scratch.file("left-data")
        self.left_history = scratch.file("left-history")
        self.programs = programs
        self.options = options

    def leave_crashed(self, kill):
        """What the runs on a used directory begin with. `kill`: an injection that ends the first writer."""
        self.reset(fresh=True)
        self.run(kill.split(":")[0].split(","), kill)
        shutil.copytree(self.directory, self.left_directory)
        shutil.copyfile(self.history, self.left_history)

    def reset(self, fresh):
        shutil.rmtree(self.directory, ignore_errors=True)
        for path in (self.history, self.log):
            with open(path, "wb"):
                pass
        if not fresh:
            shutil.copytree(self.left_directory, self.directory)
            shutil.copyfile(self.left_history, self.history)

    def run(self, calls, inject=None, **options):
        """The writer's exit code, and its calls."""
        first = support.FIRST_SEQUENCE_STEP if os.path.getsize(self.history) else 0
        arguments = dict(self.options, first_sequence=first, **options)
        writer = self.programs.start_writer(self.history, self.log, strace(self.trace, calls, inject),
                                            directory=self.directory, **arguments)
        try:
            code = writer.wait(timeout=30)
        except subprocess.TimeoutExpired:
            writer.kill()
            writer.wait()
            code = None
        return code, read_trace(self.trace)
