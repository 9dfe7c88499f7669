#!/usr/bin/env python3
"""Holds every #include of ours against the layers: includes point down only (docs/architecture.md).

    layers.py              checks the repository
    layers.py --self-test  checks the check: planted violations must be found
"""

import re
import sys

import sources

# One row a folder; the longest matching prefix decides. A file may always include its own folder.
#
#   folder: (what of ours it may include, what from outside besides the standard library)
#
# A name ending in .hpp is that header alone. base/log.hpp and base/metrics.hpp are never implied by "base".
LAYERS = {
    "base":             ("base/log.hpp base/metrics.hpp",                          "posix"),
    "core":             ("base core/record core/metadata core/group",              ""),
    "core/record":      ("base core/ids.hpp",                                      ""),
    "core/replication": ("base core/broker_api.hpp core/ids.hpp core/record core/metadata", ""),
    "core/link":        ("base core/ids.hpp",                                      ""),
    "core/metadata":    ("base core/ids.hpp core/record",                          ""),
    "core/operation":   ("base core/broker_api.hpp core/ids.hpp core/metadata",    ""),
    "core/group":       ("base core/ids.hpp core/record core/metadata",            ""),
    "core/consumer":    ("base core/broker_api.hpp core/consumer_api.hpp core/ids.hpp core/record core/metadata core/group", ""),
    "core/processing":  ("base core/ids.hpp core/record core/consumer",            ""),
    "storage":          ("base base/log.hpp base/metrics.hpp core/ids.hpp core/record", "posix"),
    "actors":           ("base base/log.hpp base/metrics.hpp core storage",        "caf"),
    "kafka/codec":      ("base core/ids.hpp core/record",                          ""),
    "kafka":            ("base base/log.hpp base/metrics.hpp core/broker_api.hpp core/ids.hpp core/record", "boost posix"),
    # The rules of cursors and subscriptions are core/consumer's (decision 0009).
    "http":             ("base base/log.hpp base/metrics.hpp core/broker_api.hpp core/cluster_api.hpp core/consumer_api.hpp "
                         "core/group_api.hpp core/ids.hpp core/record core/metadata core/consumer core/group",
                         "boost simdjson nlohmann openssl posix"),
    "runtime":          ("base base/log.hpp base/metrics.hpp core storage actors kafka http",
                         "caf boost cli11 nlohmann toml openssl posix"),
    "bench":            ("base base/log.hpp base/metrics.hpp core storage actors kafka http tests/support",
                         "caf boost benchmark nlohmann simdjson posix"),
    "tests":            ("base base/log.hpp base/metrics.hpp core storage kafka http tests/support",
                         "catch2 rapidcheck nlohmann boost posix"),
    "tests/support":    ("base base/log.hpp base/metrics.hpp core storage actors/peer_links.hpp", "catch2 rapidcheck posix"),
    "tests/node":       ("base base/log.hpp base/metrics.hpp core storage runtime tests/support", "catch2 posix"),
    "tests/actors":     ("base base/log.hpp base/metrics.hpp core storage actors tests/support", "catch2 caf posix"),
}

# Libraries that one file, or a few, may include although their folder may not.
WRAPPED = {
    "base/log.cpp": "spdlog",
    "base/crc32c.cpp": "isal",
    "base/metrics.cpp": "prometheus",
    "base/sha256.cpp": "openssl",
    "core/group/topic_pattern.cpp": "re2",
    "core/record/*.cpp": "zlib snappy lz4 zstd",
    "tests/unit/record/*.cpp": "zlib snappy lz4 zstd",
    "http/message/body_coding.cpp": "zlib",
    "tests/unit/http/*.cpp": "zlib",
    "tests/support/actor_fixture.hpp": "caf",
    "tests/support/fake_links.hpp": "caf",
}

# The libraries of runtime that tests look into; the rest of it is tested as a program.
RUNTIME_TESTED = ("runtime/config/", "runtime/client/", "runtime/node/")

# Standard headers that would bring a clock, a thread, a file or a terminal into the pure rules.
NOT_IN_CORE = set("""
    barrier chrono condition_variable csignal ctime filesystem fstream future iostream latch mutex semaphore shared_mutex
    stop_token syncstream thread time.h signal.h""".split())

OUTSIDE = [  # (library, pattern of its headers)
    ("caf", r"caf/"), ("spdlog", r"spdlog/|fmt/"), ("boost", r"boost/"), ("isal", r"isa-l/|isa-l\.h"), ("prometheus", r"prometheus/"),
    ("zlib", r"zlib\.h|zconf\.h"), ("snappy", r"snappy.*\.h"), ("lz4", r"lz4.*\.h"), ("re2", r"re2/"), ("zstd", r"zstd.*\.h"),
    ("cli11", r"CLI/"), ("catch2", r"catch2/"), ("rapidcheck", r"rapidcheck(/|\.h)"), ("nlohmann", r"nlohmann/"),
    ("simdjson", r"simdjson\.h"), ("toml", r"toml\+\+/"), ("benchmark", r"benchmark/"), ("openssl", r"openssl/"),
    ("posix", r"(sys|linux|netinet|arpa|net)/|(unistd|fcntl|dirent|poll|pthread|sched|signal|termios|netdb|dlfcn|time|ftw|malloc)\.h"),
]
STANDARD = re.compile(r"[a-z_0-9]+$|(std[a-z]+|errno|string|math|assert|inttypes|float|limits)\.h$")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
OURS = ("base", "core", "storage", "actors", "kafka", "http", "runtime", "tests", "bench")


def row_of(path):
    """The folder of LAYERS that governs `path`; None for a file outside the layers."""
    fits = [folder for folder in LAYERS if path.startswith(folder + "/")]
    return max(fits, key=len, default=None)


def library_of(header):
    """What a header between <> belongs to: "std", a library of OUTSIDE, or None when nobody has heard of it."""
    for library, pattern in OUTSIDE:
        if re.match(pattern, header):
            return library
    return "std" if STANDARD.match(header) else None


def wrapped_libraries(path):
    allowed = set()
    for pattern, libraries in WRAPPED.items():
        if re.fullmatch(pattern.replace(".", r"\.").replace("*", "[^/]*"), path):
            allowed |= set(libraries.split())
    return allowed


def ours_allowed(path, row, header):
    special = header in ("base/log.hpp", "base/metrics.hpp")
    if header in LAYERS[row][0].split():
        return True
    if special and not path.startswith("base/"):
        return False
    if row_of(header) == row:
        return True
    return any(not name.endswith(".hpp") and header.startswith(name + "/") for name in LAYERS[row][0].split())


def why_not(path, quote, header):
    """Why `path` may not include `header`; None when it may."""
    row = row_of(path)
    if row is None:
        return "the file lies in a folder without a row in LAYERS"
    if quote == '"':
        if not header.startswith(tuple(name + "/" for name in OURS)):
            return 'write it from the repository\'s root, or in <> if it is not ours'
        if header.startswith("runtime/") and not path.startswith("runtime/"):
            return None if path.startswith("tests/") and header.startswith(RUNTIME_TESTED) else "nothing includes runtime"
        return None if ours_allowed(path, row, header) else f"{row} may include: {LAYERS[row][0] or 'nothing'}"
    if path.startswith("core/") and header in NOT_IN_CORE:
        return "core is pure: no clock, thread, file or terminal"
    library = library_of(header)
    if library is None:
        return "an unknown library: add it to OUTSIDE and to a row"
    if library == "std" or library in LAYERS[row][1].split() or library in wrapped_libraries(path):
        return None
    return f"{row} does not use {library}"


def find_cycle(edges):
    """One cycle of the graph as a list of nodes, first one repeated at the end; None when there is none."""
    state, trail = {}, []

    def visit(node):
        state[node] = "open"
        trail.append(node)
        for target in sorted(edges.get(node, ())):
            if state.get(target) == "open":
                return trail[trail.index(target):] + [target]
            if target not in state:
                found = visit(target)
                if found:
                    return found
        state[node] = "done"
        trail.pop()
        return None

    for node in sorted(edges):
        if node not in state:
            found = visit(node)
            if found:
                return found
    return None


def check(files):
    """Problems of `files` (path -> text), one line each."""
    problems, folders, headers = [], {}, {}
    for path, text in sorted(files.items()):
        for match in INCLUDE.finditer(text):
            quote, header = match.groups()
            line = text.count("\n", 0, match.start()) + 1
            reason = why_not(path, quote, header)
            if reason:
                problems.append(f"{path}:{line}: includes {header}: {reason}")
            if quote == '"':
                headers.setdefault(path, set()).add(header)
                here, there = (p.rsplit("/", 1)[0] for p in (path, header))
                # core/ids.hpp and core/broker_api.hpp are units of their own, not the folder "core".
                here, there = (p if f == "core" else f for f, p in ((here, path), (there, header)))
                if here != there:
                    folders.setdefault(here, set()).add(there)
    for what, edges in (("folders", folders), ("headers", headers)):
        cycle = find_cycle(edges)
        if cycle:
            problems.append(f"a cycle of {what}: {' -> '.join(cycle)}")
    return problems


def self_test():
    good = {
        "base/log.cpp": '#include "base/log.hpp"\n#include <spdlog/spdlog.h>\n#include <unistd.h>\n',
        "base/uuid.cpp": '#include <sys/random.h>\n#include "base/prng.hpp"\n',
        "core/ids.hpp": '#include "base/uuid.hpp"\n',
        "core/record/compression.cpp": '#include <zlib.h>\n#include <lz4frame.h>\n#include "core/record/compression.hpp"\n',
        "storage/partition_log.cpp": '#include <fcntl.h>\n#include "core/record/record_batch.hpp"\n#include "base/log.hpp"\n',
        "actors/disk_worker.cpp": '#include <caf/fwd.hpp>\n#include "storage/partition_log.hpp"\n',
        "http/session.cpp": '#include <boost/beast.hpp>\n#include "core/broker_api.hpp"\n',
        "runtime/main.cpp": '#include <CLI/CLI.hpp>\n#include "http/session.hpp"\n#include "actors/handles.hpp"\n',
        "tests/actors/disk_worker_test.cpp": '#include <caf/all.hpp>\n#include "tests/support/catch.hpp"\n',
    }
    bad = [  # each must be found alone
        {"base/bytes.hpp": '#include "core/ids.hpp"\n'},
        {"base/bytes.hpp": "#include <spdlog/spdlog.h>\n"},
        {"core/record/batch.hpp": '#include "base/log.hpp"\n'},
        {"core/record/batch.hpp": '#include "base/metrics.hpp"\n'},
        {"core/record/batch.hpp": '#include "storage/file_system.hpp"\n'},
        {"core/record/batch.hpp": '#include "core/group/group.hpp"\n'},
        {"core/record/batch.hpp": "  #  include <chrono>\n"},
        {"core/record/batch.hpp": "#include <zstd.h>\n"},
        {"core/group/group.cpp": "#include <zlib.h>\n"},
        {"core/group/group.cpp": "#include <sys/socket.h>\n"},
        {"core/group/group.cpp": "#include <mutex>\n"},
        {"core/group/group.cpp": "#include <caf/fwd.hpp>\n"},
        {"storage/log.cpp": '#include "core/group/group.hpp"\n'},
        {"storage/log.cpp": "#include <caf/fwd.hpp>\n"},
        {"actors/leader.cpp": '#include "http/session.hpp"\n'},
        {"actors/leader.cpp": "#include <boost/asio.hpp>\n"},
        {"http/session.cpp": '#include "core/replication/isr.hpp"\n'},
        {"http/session.cpp": '#include "storage/log.hpp"\n'},
        {"http/session.cpp": "#include <caf/fwd.hpp>\n"},
        {"kafka/codec/fetch.cpp": "#include <boost/asio.hpp>\n"},
        {"http/session.cpp": '#include "runtime/node.hpp"\n'},
        {"tests/unit/x_test.cpp": '#include "runtime/node.hpp"\n'},
        {"tests/unit/x_test.cpp": "#include <caf/all.hpp>\n"},
        {"storage/log.cpp": "#include <left_pad/left_pad.hpp>\n"},
        {"storage/log.cpp": '#include "log.hpp"\n'},
        {"tools/x.cpp": "#include <vector>\n"},
        {"base/a.hpp": '#include "base/b.hpp"\n', "base/b.hpp": '#include "base/a.hpp"\n'},
        {"tests/support/a.hpp": '#include "tests/support/deep/b.hpp"\n',
         "tests/support/deep/b.hpp": '#include "tests/support/c.hpp"\n'},
    ]
    failures = [f"wrongly refused: {problem}" for problem in check(good)]
    failures += [f"not found: {files}" for files in bad if not check(files)]
    print(*failures, f"layers self-test: {len(bad)} planted violations, {len(failures)} failures", sep="\n")
    return 1 if failures else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    files = {path: sources.read(path) or "" for path in sources.list_files() if path.endswith((".hpp", ".cpp"))}
    problems = check({path: text for path, text in files.items() if not path.startswith("examples/")})
    print(*problems, f"layers: {len(files)} files, {len(problems)} problems", sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
