#!/usr/bin/env python3
"""Plants one bug at a time in a copy of this checkout, and looks which seed finds it first.

    python3 tests/sim/planted/planted.py [--seeds 5000] [NAME..]

Not part of any test run: each bug is a build. Works in build/planted; prints a line for a table like that of planted.md.
"""
import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
WORK = ROOT / "build" / "planted"
SOURCE = WORK / "source"
BUILD = WORK / "build"
R, M = "core/replication/", "core/metadata/"
EVERY = ("cluster", "replication")

# Name: what is broken, in which simulations it is looked for, and the text that is replaced (once in its file).
BUGS = {
    "cut-to-watermark": ("a follower cuts its log to its watermark, not by epoch", EVERY, R + "follower_replica.cpp",
                         "  const auto to = same ? std::min(own->start_offset, diverging.end_offset) : own->start_offset;\n",
                         "  const auto to = std::max(log_.log_start,\n"
                         "      std::min(same ? log_.high_watermark : log_.high_watermark, log_.log_end));\n"),
    "no-epoch-check-of-fetches": ("a fetch of another leader epoch is counted", EVERY, R + "leader_followers.cpp",
                                  "  if (position.leader_epoch < options_.epoch || position.leader_epoch > options_.epoch) {",
                                  "  if (false) {"),
    "join-before-epoch-start": ("a follower joins at the watermark, before the epoch's start", EVERY, R + "leader_followers.cpp",
                                "std::max(high_watermark_, epoch_start_)) return false;", "high_watermark_) return false;"),
    "committed-isr-only": ("the watermark over the committed ISR, not the maximal one", EVERY, R + "isr.cpp",
                           "  return expand != nullptr && expand->member == broker;", "  return expand == nullptr && false;"),
    "written-counts": ("the leader counts what is written before the sync", EVERY, R + "leader_followers.cpp",
                       "  if (options_.flush == Flush::interval) return counts_now(log_end_, effects);",
                       "  return counts_now(log_end_, effects);"),
    "below-min-isr": ("the watermark moves below min.insync.replicas", EVERY, R + "leader_followers.cpp",
                      "  return isr_.committed().size() <\n"
                      "         std::min<std::size_t>(replicas_count_, static_cast<std::size_t>(options_.min_insync_replicas));",
                      "  return false;"),
    "old-run-fetches": ("a fetch of an earlier run of a broker is counted", EVERY, R + "leader_followers.cpp",
                        "  if (fetch.broker_epoch < known->broker_epoch()) {", "  if (false) {"),
    "alter-of-old-partition-epoch": ("the controller takes ISRs of an old partition epoch", ("cluster",), M + "isr_rules.cpp",
                                     "  if (proposal.partition_epoch != now.partition_epoch) {", "  if (false) {"),
    "earlier-run-joins": ("the controller takes earlier runs of brokers into ISRs", ("cluster",), M + "isr_rules.cpp",
                          "member.broker_epoch != no_broker_epoch && member.broker_epoch.value()", "false && member.broker_epoch.value()"),
    "fenced-joins": ("the controller takes fenced brokers into ISRs", ("cluster",), M + "isr_rules.cpp",
                     '  if (broker->fenced) return refuse("is fenced");\n', ""),
    "interval-trusted": ("a crash with flush = interval does not cost its trust", ("cluster",), M + "broker_lifecycle.cpp",
                         "    if (!request.clean && topic.config.flush == FlushMode::interval) change.distrust(id);\n", ""),
    "elr-with-full-isr": ("the ELR is kept while the ISR is full", ("cluster",), M + "partition_change.cpp",
                          "  if (unclean_ || (!now_.isr.empty() && now_.isr.size() >= min_insync_replicas())) return;\n", ""),
    "reassigned-too-early": ("a reassignment ends before the new copies are in the ISR", ("cluster",), M + "partition_change.cpp",
                             "  if (!without(now_.adding_replicas, isr).empty() || isr.empty() || isr.size() < needed) return;\n",
                             "  if (isr.empty() || needed > 99) return;\n"),
    "vote-not-persisted": ("a vote is not written", ("cluster", "quorum"), M + "quorum_election.cpp",
                           "      hard_.voted_for = message.from;\n      hard_dirty_ = true;\n", "      hard_.voted_for = message.from;\n"),
    "old-epoch-committed": ("an entry of an earlier epoch is committed by counting", ("cluster", "quorum"), M + "quorum_leader.cpp",
                            " || log_.epoch_before(majority) != hard_.epoch) return;", ") return;"),
    "two-changes-of-voters": ("a second change of voters while one is open", ("quorum", "cluster"), M + "quorum_membership.cpp",
                              "  if (leadership_->catch_up || (latest && *latest >= high_watermark_)) {",
                              "  if (leadership_->catch_up || (latest && false)) {"),
    "change-before-own-entry": ("voters change before an entry of the leader's own epoch", ("quorum", "cluster"),
                                M + "quorum_membership.cpp",
                                "  if (leadership_->hand_over || !own_epoch_committed()) {", "  if (leadership_->hand_over) {"),
    "vote-for-any-log": ("a vote for a log that is behind", ("cluster", "quorum"), M + "quorum_election.cpp",
                         "    granted = up_to_date && !leader_ &&", "    granted = !leader_ &&"),
    "vote-of-another-disk": ("an empty disk votes for the one before it", ("quorum", "cluster"), M + "quorum_election.cpp",
                             "  if (message.to != key()) return;\n", ""),
    "undurable-entries-count": ("a voter's entries count before they are on its disk", ("cluster", "quorum"), M + "quorum_follower.cpp",
                                "std::min(matched_end_, durable_end_)", "matched_end_"),
    "late-registration": ("a late registration of an earlier run is taken", ("cluster",), M + "liveness.cpp",
                          "  if (same_process || session.may_stop || session.silent_at <= now) return ok();",
                          "  if (same_process || session.may_stop || session.silent_at <= now || true) return ok();"),
}


def run(command, **options):
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)


def build():
    done = run(["cmake", "--build", str(BUILD), "--target", "troupe_sim"])
    return None if done.returncode == 0 else done.stdout[-2000:]


def prepare():
    SOURCE.mkdir(parents=True, exist_ok=True)
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD"], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(SOURCE)], input=archive, check=True)
    done = run(["cmake", "-S", str(SOURCE), "-B", str(BUILD), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DTROUPE_BUILD_TESTS=ON"])
    if done.returncode != 0:
        sys.exit(done.stdout)


def look_for(name, seeds):
    what, simulations, file, old, new = BUGS[name]
    path = SOURCE / file
    text = path.read_text()
    if text.count(old) != 1:
        return f"| {name} | {what} | cannot be planted: the text is there {text.count(old)} times | |"
    path.write_text(text.replace(old, new))
    try:
        wrong = build()
        if wrong:
            return f"| {name} | {what} | does not compile | |\n{wrong}"
        for simulation in simulations:
            program = BUILD / "tests/sim/cluster/troupe_sim"
            said = run([str(program), "--of", simulation, "--seeds", str(seeds), "--stop-after", "1", "--quiet"]).stdout
            found = re.search(r"^seed (\d+): (\w+)", said, re.M)
            if found:
                return f"| {name} | {what} | {simulation} {found[1]} | {found[2]} |"
            if "violations" not in said:  # an assertion of the product ended it
                return f"| {name} | {what} | {simulation} | {said.strip().splitlines()[-1][:80] if said else 'ended'} |"
        return f"| {name} | {what} | **not in {seeds}** of {', '.join(simulations)} | |"
    finally:
        path.write_text(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="of bugs; by default all")
    parser.add_argument("--seeds", type=int, default=5000)
    arguments = parser.parse_args()
    prepare()
    for name in arguments.names or BUGS:
        print(look_for(name, arguments.seeds), flush=True)


if __name__ == "__main__":
    main()
