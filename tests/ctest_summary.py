#!/usr/bin/env python3
"""Totals of ctest runs: failures, skips with their reasons, and the closing line "N passed, N failed, N skipped".

    ctest_summary.py [--no-skips] [--may-be-empty] [--failed-phases=N] JUNIT_FILE...
    ctest_summary.py --self-test

A test is skipped when ctest says so (exit code 77), or when it passed and printed a line "SKIPPED: reason"
(TROUPE_SKIP in tests/support/skip.hpp). With --no-skips a skip is a failure, unless its reason begins with "machine": the
kernel or the rights here do not allow what the test needs, and no package mends that. --failed-phases=N: N steps around the
tests failed; when no test did, they are the failures.
"""

import re
import sys
import xml.etree.ElementTree as xml

REASON = re.compile(r"^SKIPPED: *(.*?)\s*$", re.MULTILINE)


def judge(case, no_skips):
    """("passed" | "failed" | "skipped", what to print about it or None)"""
    name = case.get("name", "?")
    output = case.findtext("system-out") or ""
    reasons = REASON.findall(output)
    status = case.get("status")
    if status == "run" and case.find("failure") is None and case.find("error") is None and not reasons:
        return "passed", None
    if status == "fail" or case.find("failure") is not None or case.find("error") is not None:
        return "failed", f"failed   {name}"
    skip = case.find("skipped")
    if status == "disabled" or reasons or (skip is not None and "SKIP_" in skip.get("message", "")):
        reason = "; ".join(dict.fromkeys(reasons)) or "no reason given"
        if no_skips and not reason.startswith("machine"):
            return "failed", f"failed   {name}: skipped, although this run allows no skips: {reason}"
        return "skipped", f"skipped  {name}: {reason}"
    message = skip.get("message", "") if skip is not None else f"status {status}"
    return "failed", f"failed   {name}: did not run ({message})"


def summarize(roots, no_skips):
    """Lines to print, and the totals."""
    totals, lines = {"passed": 0, "failed": 0, "skipped": 0}, []
    for root in roots:
        for case in root.iter("testcase"):
            verdict, line = judge(case, no_skips)
            totals[verdict] += 1
            if line:
                lines.append(line)
    return lines, totals


def self_test():
    suite = xml.fromstring("""<testsuite>
      <testcase name="a" status="run"><system-out>fine</system-out></testcase>
      <testcase name="b" status="fail"><failure message=""/><system-out>SKIPPED: machine: no</system-out></testcase>
      <testcase name="c" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/><system-out>SKIPPED: package x</system-out></testcase>
      <testcase name="d" status="run"><system-out>x\nSKIPPED: machine: no loop devices\n</system-out></testcase>
      <testcase name="e" status="notrun"><skipped message="Unable to find executable"/></testcase>
    </testsuite>""")
    expected = {False: (1, 2, 2), True: (1, 3, 1)}
    failures = 0
    for no_skips, wanted in expected.items():
        lines, totals = summarize([suite], no_skips)
        got = tuple(totals[key] for key in ("passed", "failed", "skipped"))
        if got != wanted or len(lines) != 4:
            failures += 1
            print(f"no_skips={no_skips}: got {got}, wanted {wanted}: {lines}")
    print(f"summary self-test: {failures} failures")
    return 1 if failures else 0


def main():
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        return self_test()
    files = [argument for argument in arguments if not argument.startswith("--")]
    lines, totals = summarize([xml.parse(file).getroot() for file in files], "--no-skips" in arguments)
    ran = totals["passed"] + totals["failed"]
    print(*([""] + lines if lines else []), sep="\n")
    if ran == 0 and "--may-be-empty" not in arguments:
        print("no test ran")
        totals["failed"] += 1
    phases = sum(int(argument.split("=")[1]) for argument in arguments if argument.startswith("--failed-phases="))
    totals["failed"] = totals["failed"] or phases
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**totals))
    return 1 if totals["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
