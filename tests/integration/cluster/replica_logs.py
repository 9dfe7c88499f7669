"""The logs of replicas as they are on their disks: R14 is about them, and not about what a leader tells through any node."""

import glob
import os
import struct

HEADER = struct.Struct(">qii")  # base offset, length of what follows, leader epoch
LENGTH_ENDS_AT = 12
LAST_OFFSET_DELTA_AT = 23


def batches(data_dir):
    """{partition: [(base offset, bytes of the batch), ...]} of the one topic in a data directory whose node has ended."""
    found = {}
    for folder in glob.glob(os.path.join(data_dir, "log", "partitions", "*", "*")):
        log = found.setdefault(int(os.path.basename(folder)), [])
        for segment in sorted(glob.glob(os.path.join(folder, "*.log"))):
            with open(segment, "rb") as file:
                content = file.read()
            at = 0
            while at + HEADER.size <= len(content):
                base, length, _ = HEADER.unpack_from(content, at)
                if length <= 0:
                    break  # space that was taken in advance
                end = at + LENGTH_ENDS_AT + length
                log.append((base, content[at:end]))
                at = end
    return found


def log_end(log):
    """The offset behind the last record of what batches() gave for a partition."""
    if not log:
        return 0
    base, batch = log[-1]
    return base + struct.unpack_from(">i", batch, LAST_OFFSET_DELTA_AT)[0] + 1


def differences(replicas):
    """R14 for logs at rest: {node: what batches() gave} are the same, byte by byte."""
    (first, log), *others = replicas.items()
    for node, other in others:
        for p in sorted(set(log) | set(other)):
            here, there = log.get(p, []), other.get(p, [])
            differ = next((i for i, pair in enumerate(zip(here, there)) if pair[0] != pair[1]), min(len(here), len(there)))
            if len(here) != len(there) or differ < len(here):
                yield (f"R14: partition {p}: the disks of node {first}, with {len(here)} batches, and node {node}, with {len(there)}, "
                       f"differ from batch {differ} on: {[log[differ][0] if differ < len(log) else 'the end' for log in (here, there)]}")
