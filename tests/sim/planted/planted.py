#!/usr/bin/env python3
"""Plants bugs in a copy of this checkout, all in one build, switches them on one at a time, and looks which seed finds each first.

    python3 tests/sim/planted/planted.py [--seeds 5000] [NAME..]      lines for the table of planted.md
    TROUPE_PLANTED=NAME,NAME build/planted/build/tests/sim/cluster/troupe_sim ..      with these in force

Not part of any test run: it builds. Works in build/planted, on what is committed or at least staged and changed here.
"""
import argparse
import io
import os
import pathlib
import re
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
WORK = ROOT / "build" / "planted"
SOURCE = WORK / "source"
BUILD = WORK / "build"
R, M = "core/replication/", "core/metadata/"
G, C, S = "core/group/", "core/consumer/", "tests/sim/cluster/"
CLUSTER = ("cluster",)
DATA = ("cluster", "replication")
QUORUM = ("quorum", "cluster")
GROUP = ("group",)

SWITCH = """#pragma once

#include <cstdlib>
#include <string_view>

/// Whether the environment switches that planted bug on.
inline bool troupe_planted(std::string_view name) {
  const char* all = std::getenv("TROUPE_PLANTED");
  for (std::string_view left = all == nullptr ? "" : all; !left.empty();) {
    const auto comma = left.find(',');
    if (left.substr(0, comma) == name) return true;
    left = comma == std::string_view::npos ? std::string_view{} : left.substr(comma + 1);
  }
  return false;
}
#define TROUPE_PLANTED(name) [] { static const bool is_on = troupe_planted(name); return is_on; }()
"""

# Name: what is broken, its file, and the text that is replaced (once in its file). PLANTED holds while the bug is switched on.
EDITS = {
    "cut-to-watermark": ("a follower cuts its log to its watermark, not by epoch", R + "follower_replica.cpp",
                         "  const auto to = same ? ",
                         "  const auto to = PLANTED ? std::clamp(log_.high_watermark, log_.log_start, log_.log_end)\n"
                         "                : same ? "),
    "no-epoch-check-of-fetches": ("a fetch of another leader epoch is counted", R + "leader_followers.cpp",
                                  "  if (position.leader_epoch < options_.epoch || position.leader_epoch > options_.epoch) {",
                                  "  if (!PLANTED && position.leader_epoch != options_.epoch) {"),
    "join-before-epoch-start": ("a follower joins at the watermark, before the epoch's start", R + "leader_followers.cpp",
                                "std::max(high_watermark_, epoch_start_)) return false;",
                                "(PLANTED ? high_watermark_ : std::max(high_watermark_, epoch_start_))) return false;"),
    "committed-isr-only": ("the watermark over the committed ISR, not the maximal one", R + "isr.cpp",
                           "  return expand != nullptr && expand->member == broker;",
                           "  return !PLANTED && expand != nullptr && expand->member == broker;"),
    "written-counts": ("the leader counts what is written before the sync", R + "leader_followers.cpp",
                       "  if (options_.flush == Flush::interval) return counts_now(log_end_, effects);",
                       "  if (PLANTED || options_.flush == Flush::interval) return counts_now(log_end_, effects);"),
    "below-min-isr": ("the watermark moves below min.insync.replicas", R + "leader_followers.cpp",
                      "  return isr_.committed().size() <\n", "  return !PLANTED && isr_.committed().size() <\n"),
    "old-run-fetches": ("a fetch of an earlier run of a broker is counted", R + "leader_followers.cpp",
                        "  if (fetch.broker_epoch < known->broker_epoch()) {",
                        "  if (!PLANTED && fetch.broker_epoch < known->broker_epoch()) {"),
    "old-run-begins-session": ("an earlier run of a broker begins a fetch session", R + "fetch_session_server.cpp",
                               "    if (old != by_replica_.end() && request.broker_epoch < old->second->broker_epoch)",
                               "    if (!PLANTED && old != by_replica_.end() && request.broker_epoch < old->second->broker_epoch)"),
    "alter-of-old-partition-epoch": ("the controller takes ISRs of an old partition epoch", M + "isr_rules.cpp",
                                     "  if (proposal.partition_epoch != now.partition_epoch) {",
                                     "  if (!PLANTED && proposal.partition_epoch != now.partition_epoch) {"),
    "earlier-run-joins": ("the controller takes earlier runs of brokers into ISRs", M + "isr_rules.cpp",
                          "member.broker_epoch != no_broker_epoch && member.broker_epoch.value()",
                          "!PLANTED && member.broker_epoch != no_broker_epoch && member.broker_epoch.value()"),
    "fenced-joins": ("the controller takes fenced brokers into ISRs", M + "isr_rules.cpp",
                     '  if (broker->fenced) return refuse("is fenced");\n',
                     '  if (!PLANTED && broker->fenced) return refuse("is fenced");\n'),
    "interval-trusted": ("a crash with flush = interval does not cost its trust", M + "broker_lifecycle.cpp",
                         "    } else if (!request.clean && topic.config.flush",
                         "    } else if (!PLANTED && !request.clean && topic.config.flush"),
    "elr-with-full-isr": ("the ELR is kept while the ISR is full", M + "partition_change.cpp",
                          "  if (unclean_ || (!now_.isr.empty() && now_.isr.size() >= min_insync_replicas())) return;\n",
                          "  if (!PLANTED && (unclean_ || (!now_.isr.empty() && now_.isr.size() >= min_insync_replicas()))) return;\n"),
    "reassigned-too-early": ("a reassignment ends before the new copies are in the ISR", M + "partition_change.cpp",
                             "  if (!without(now_.adding_replicas, isr).empty() || isr.empty() || !enough_stay(target)) return;\n",
                             "  if (isr.empty() || (!PLANTED && (!without(now_.adding_replicas, isr).empty() ||\n"
                             "                                   !enough_stay(target)))) return;\n"),
    "vote-not-persisted": ("a vote is not written", M + "quorum_election.cpp",
                           "      hard_.voted_for = message.from;\n      hard_dirty_ = true;\n",
                           "      hard_.voted_for = message.from;\n      hard_dirty_ = !PLANTED || hard_dirty_;\n"),
    "old-epoch-committed": ("an entry of an earlier epoch is committed by counting", M + "quorum_leader.cpp",
                            " || log_.epoch_before(majority) != hard_.epoch) return;",
                            " || (!PLANTED && log_.epoch_before(majority) != hard_.epoch)) return;"),
    "two-changes-of-voters": ("a second change of voters while one is open", M + "quorum_membership.cpp",
                              "  if (leadership_->catch_up || (latest && *latest >= high_watermark_)) {",
                              "  if (leadership_->catch_up || (!PLANTED && latest && *latest >= high_watermark_)) {"),
    "change-before-own-entry": ("voters change before an entry of the leader's own epoch", M + "quorum_membership.cpp",
                                "  if (leadership_->hand_over || !own_epoch_committed()) {",
                                "  if (leadership_->hand_over || (!PLANTED && !own_epoch_committed())) {"),
    "vote-for-any-log": ("a vote for a log that is behind", M + "quorum_election.cpp",
                         "    granted = up_to_date && !leader_ &&", "    granted = (PLANTED || up_to_date) && !leader_ &&"),
    "vote-of-another-disk": ("an empty disk votes for the one before it", M + "quorum_election.cpp",
                             "  if (message.to != key()) return;\n", "  if (!PLANTED && message.to != key()) return;\n"),
    "mail-of-another-disk": ("an empty disk opens what was sent to the one before it", M + "quorum_node.cpp",
                             "message.to.directory_id.is_nil() || message.to.directory_id == hard_.directory_id);",
                             "PLANTED || message.to.directory_id.is_nil() ||\n"
                             "                              message.to.directory_id == hard_.directory_id);"),
    "votes-counted-by-id": ("a vote counts for the node, not for its disk", M + "quorum_election.cpp",
                            "    return [&](const ReplicaKey& one) { return some.contains(one); };",
                            "    return [&](const ReplicaKey& one) {\n"
                            "      return some.contains(one) || (PLANTED && std::ranges::any_of(some, [&](const ReplicaKey& each) {\n"
                            "               return each.id == one.id;\n"
                            "             }));\n"
                            "    };"),
    "undurable-entries-count": ("a voter's entries count before they are on its disk", M + "quorum_follower.cpp",
                                "std::min(matched_end_, durable_end_)",
                                "(PLANTED ? matched_end_ : std::min(matched_end_, durable_end_))"),
    "late-registration": ("a late registration of an earlier run is taken", M + "liveness.cpp",
                          "  if (same_process || session.may_stop || session.silent_at <= now) return ok();",
                          "  if (PLANTED || same_process || session.may_stop || session.silent_at <= now) return ok();"),
    "given-before-let-go": ("a member is given what another has not let go of", G + "consumer_group.cpp",
                            "    return holder != nullptr && *holder != id;\n",
                            "    return !PLANTED && holder != nullptr && *holder != id;\n"),
    "commit-of-older-epoch": ("a commit of an older epoch of the member is taken", G + "group_coordinator.cpp",
                              "  if (committer.epoch == current.epoch || ", "  if (PLANTED || committer.epoch == current.epoch || "),
    "commit-without-ownership": ("a member commits what is another's", G + "group_coordinator.cpp",
                                 "    const auto* owner = group.members.owner({topic->id, offset.partition});\n"
                                 "    if (owner == nullptr || *owner != committer.member) {\n",
                                 "    const auto* owner = group.members.owner({topic->id, offset.partition});\n"
                                 "    if (!PLANTED && (owner == nullptr || *owner != committer.member)) {\n"),
    "expired-without-a-record": ("a member that is out is out in memory only", G + "consumer_group.cpp",
                                 "  write(MemberRecord{name_, id, std::nullopt}, turn);\n  nudge_waiting(freed, turn);\n",
                                 "  write(MemberRecord{name_, id, std::nullopt}, turn);\n"
                                 "  if (PLANTED) turn.records.resize(turn.records.size() - 3);\n  nudge_waiting(freed, turn);\n"),
    "commit-of-before-a-reset": ("a commit from before a reset is taken", G + "group_coordinator.cpp",
                                 "    if (offset.reset_epoch != reset_epoch) {",
                                 "    if (!PLANTED && offset.reset_epoch != reset_epoch) {"),
    "said-before-a-reset": ("what was consumed before a reset counts after it", C + "group_reader.cpp",
                            "  if (next < lane.since || next > lane.position) return;",
                            "  if (!PLANTED && (next < lane.since || next > lane.position)) return;"),
    "answered-before-committed": ("an answer goes before its records are committed", G + "turn_log.hpp",
                                  "    if (committed_ == written_) return answer;",
                                  "    if (PLANTED || committed_ == written_) return answer;"),
    "read-without-a-mark": ("a coordinator reads up to the watermark that it knows", S + "group_shell.cpp",
                            "void GroupShell::begin() { mark_log(); }",
                            "void GroupShell::begin() {\n  if (!PLANTED) return mark_log();\n  phase_ = Phase::reading;\n"
                            "  mark_ = node_.replicas().high_watermark(partition_);\n  read_on();\n}"),
    "larger-shares-anew": ("the larger shares go to those who had less", G + "assignor.cpp",
                           "[&](std::size_t member) { return kept.lists[member].size(); });\n",
                           "[&](std::size_t member) {\n"
                           "    return PLANTED ? SIZE_MAX - kept.lists[member].size() : kept.lists[member].size();\n  });\n"),
}

# What is looked for, and where: one bug, or several at once where one alone is caught by another safeguard.
LOOKED_FOR = {
    "cut-to-watermark": DATA,
    "no-epoch-check-of-fetches": ("replication", "cluster"),
    "join-before-epoch-start": DATA,
    "committed-isr-only": DATA,
    "written-counts": DATA,
    "below-min-isr": DATA,
    "old-run-fetches": DATA,
    "old-run-fetches,old-run-begins-session": DATA,
    "alter-of-old-partition-epoch": CLUSTER,
    "earlier-run-joins": CLUSTER,
    "fenced-joins": CLUSTER,
    "interval-trusted": CLUSTER,
    "elr-with-full-isr": CLUSTER,
    "reassigned-too-early": CLUSTER,
    "vote-not-persisted": QUORUM,
    "old-epoch-committed": QUORUM,
    "two-changes-of-voters": QUORUM,
    "change-before-own-entry": QUORUM,
    "change-before-own-entry,two-changes-of-voters": QUORUM,
    "vote-for-any-log": QUORUM,
    "vote-of-another-disk": QUORUM,
    "vote-of-another-disk,mail-of-another-disk": QUORUM,
    "vote-of-another-disk,mail-of-another-disk,votes-counted-by-id": QUORUM,
    "undurable-entries-count": QUORUM,
    "late-registration": CLUSTER,
    "given-before-let-go": GROUP,
    "commit-of-older-epoch": GROUP,
    "commit-without-ownership": GROUP,
    "expired-without-a-record": GROUP,
    "commit-of-before-a-reset": GROUP,
    "said-before-a-reset": GROUP,
    "answered-before-committed": GROUP,
    "read-without-a-mark": GROUP,
    "larger-shares-anew": GROUP,
}


def run(command, **options):
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)


def planted(name, text):
    """`text` with every bug of the file `name` in it."""
    used = False
    for bug, (_, file, old, new) in EDITS.items():
        if file != name:
            continue
        if text.count(old) != 1:
            sys.exit(f"{bug} cannot be planted: its text is {text.count(old)} times in {file}")
        text = text.replace(old, new.replace("PLANTED", f'TROUPE_PLANTED("{bug}")'))
        used = True
    if not used:
        return text
    begin = "#pragma once\n" if text.startswith("#pragma once\n") else ""
    return f'{begin}#include "core/planted.hpp"\n{text[len(begin):]}'


def write_if_new(path, data):
    if path.exists() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def prepare():
    changed = subprocess.run(["git", "-C", str(ROOT), "stash", "create"], stdout=subprocess.PIPE, check=True).stdout
    tree = changed.decode().strip() or "HEAD"
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", tree], stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files.getmembers():
            if not member.isfile():
                continue
            data = files.extractfile(member).read()
            if member.name.startswith(("core/", "tests/sim/")) and member.name.endswith((".cpp", ".hpp")):
                data = planted(member.name, data.decode()).encode()
            write_if_new(SOURCE / member.name, data)
            (SOURCE / member.name).chmod(member.mode)
    write_if_new(SOURCE / "core/planted.hpp", SWITCH.encode())
    done = run(["cmake", "-S", str(SOURCE), "-B", str(BUILD), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DTROUPE_BUILD_TESTS=ON"])
    if done.returncode == 0:
        done = run(["cmake", "--build", str(BUILD), "--target", "troupe_sim", "troupe_model"])
    if done.returncode != 0:
        sys.exit(done.stdout[-4000:])


def look_for(names, simulations, seeds):
    what = "; ".join(EDITS[name][0] for name in names.split(","))
    for simulation in simulations:
        said = run([str(BUILD / "tests/sim/cluster/troupe_sim"), "--of", simulation, "--seeds", str(seeds), "--stop-after", "1", "--quiet"],
                   env={**os.environ, "TROUPE_PLANTED": names}).stdout
        found = re.search(r"^seed (\d+): (\w+)", said, re.M)
        if found:
            return f"| {names} | {what} | {simulation} {found[1]} | {found[2]} |"
        if "violations" not in said:  # an assertion of the product ended it
            return f"| {names} | {what} | {simulation} | {said.strip().splitlines()[-1][:80] if said else 'ended'} |"
    return f"| {names} | {what} | **not in {seeds}** of {', '.join(simulations)} | |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="of bugs; joined by commas: at once; by default all")
    parser.add_argument("--seeds", type=int, default=5000)
    arguments = parser.parse_args()
    prepare()
    for names in arguments.names or LOOKED_FOR:
        print(look_for(names, LOOKED_FOR.get(names, ("cluster", "quorum", "replication", "group")), arguments.seeds), flush=True)


if __name__ == "__main__":
    main()
