#!/usr/bin/env python3
"""House-keeping: what a reader trips over and no compiler reports.

    tidy.py              checks the repository
    tidy.py --self-test  checks the check
"""

import os
import re
import sys

import sources

CODE = (".hpp", ".cpp", ".py", ".sh", ".cmake", ".ts", ".js")
LINE_MAX = 140
FILE_LINES_MAX = 700
# Data is as it came; the licence is as its authors wrote it.
NOT_OURS = re.compile(r"(LICENSE|NOTICE)$|tests/.*(corpus|golden|vectors|data)/|web/dist/")

# (rule, where, pattern, what is wrong). The patterns are written so that they do not match themselves.
PATTERNS = [
    (lambda path: True, re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b"), "a leftover mark: do it, or write it into docs/roadmap.md"),
    (lambda path: not path.endswith(".tsv"), re.compile(r"\t"), "a tab"),
    (lambda path: not path.endswith(".md"), re.compile(r"[ \r]+$"), "trailing space"),
    (lambda path: True, re.compile(r"(?<![\w.])/(home|root|work|Users)/\w"), "a path of one machine"),
    (lambda path: True, re.compile(r"https?://(registry|proxy|repo1?|deb|index|files|static|pypi|security|archive)\."),
     "the host of a package registry"),
    (lambda path: path.startswith("tests/"),
     re.compile(r"sleep_(for|until)\(|\bu?sleep\(|\bnanosleep\(|time\.sleep\(|setTimeout\("),
     "a sleep in a test: advance the clock, or wait for a condition with a deadline"),
]


LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def dead_links(path, text):
    """Links of a page to files of ours that do not exist."""
    folder = os.path.join(sources.ROOT, os.path.dirname(path))
    targets = {match.group(1) for match in LINK.finditer(re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL))}
    return [f"{path}: links to {target}, which does not exist"
            for target in sorted(targets) if not os.path.exists(os.path.join(folder, target))]


def check_file(path, text):
    """Problems of one file, one line each."""
    lines = text.split("\n")
    problems = []
    for number, line in enumerate(lines, 1):
        problems += [f"{path}:{number}: {wrong}" for where, pattern, wrong in PATTERNS if where(path) and pattern.search(line)]
        if path.endswith(CODE) and len(line) > LINE_MAX:
            problems.append(f"{path}:{number}: {len(line)} characters in a line, at most {LINE_MAX}")
    if path.endswith(CODE) and len(lines) > FILE_LINES_MAX:
        problems.append(f"{path}: {len(lines)} lines, at most {FILE_LINES_MAX}: is there a second idea in it?")
    if path.endswith(".hpp") and "#pragma once" not in lines:
        problems.append(f"{path}: no #pragma once")
    if path.endswith(".md"):
        problems += dead_links(path, text)
    if text and not text.endswith("\n"):
        problems.append(f"{path}: no newline at the end")
    return problems


def self_test():
    mark = "TO" + "DO"
    good = {"tests/a_test.cpp": "clock.advance(10);\n", "base/a.hpp": "#pragma once\n", "docs/a.md": "two spaces  \n",
            "storage/a.cpp": "std::this_thread::sle" + "ep_for(backoff);\n", "tests/a.tsv": "seed\trounds\n",
            "docs/b.md": "x" * 300 + " GET /v1/wo" + "rk/1\n",
            "docs/c.md": "[up](../run) [away](https://example.org/x) `[](code)`\n"}
    bad = {"base/a.cpp": f"// {mark}: later\n", "base/b.cpp": "\tint x;\n", "base/c.cpp": "int x; \n", "base/d.cpp": "x" * 141 + "\n",
           "base/e.cpp": "\n" * 701, "base/f.hpp": "int x;\n", "tests/g_test.cpp": "std::this_thread::sle" + "ep_for(1s);\n",
           "tests/h.py": "time.sle" + "ep(1)\n", "docs/i.md": "see /ho" + "me/me/x\n", "base/j.cpp": "int x;",
           "docs/k.md": "https://" + "registry.example/x\n",
           "docs/l.md": "[x](no_such_page.md#part)\n"}
    failures = [f"wrongly refused: {problem}" for path, text in good.items() for problem in check_file(path, text)]
    failures += [f"not found: {path}" for path, text in bad.items() if not check_file(path, text)]
    print(*failures, f"tidy self-test: {len(bad)} planted problems, {len(failures)} failures", sep="\n")
    return 1 if failures else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    paths = [path for path in sources.list_files() if not NOT_OURS.search(path)]
    texts = {path: sources.read(path) for path in paths}
    problems = [problem for path, text in texts.items() if text is not None for problem in check_file(path, text)]
    print(*problems, f"tidy: {len(paths)} files, {len(problems)} problems", sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
