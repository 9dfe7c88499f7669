#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/unit/group/group_fixture.hpp"

/// Runs the transcripts of this folder against a real coordinator: README.md has their language.
namespace {

using namespace troupe;
using namespace troupe::group;
using namespace troupe::test;

using Lines = std::vector<std::string>;

class Scenario {
 public:
  /// What is answered, a line each.
  Lines run(const std::string& line) {
    std::istringstream text{line};
    words_.clear();
    for (std::string word; text >> word;) words_.push_back(word);
    group_.nudged.clear();
    said_.clear();
    do_it();
    Lines told;
    for (const auto& one : group_.nudged) told.push_back(one.member + " is told that there is news");
    std::ranges::sort(told);
    told.erase(std::unique(told.begin(), told.end()), told.end());
    said_.insert(said_.end(), told.begin(), told.end());
    return said_;
  }

 private:
  bool says(const std::string& first, const std::string& second = {}) const {
    return !words_.empty() && words_[0] == first && (second.empty() || (words_.size() > 1 && words_[1] == second));
  }
  /// Words from the `from`-th up to one of these.
  Lines until(std::size_t from, const Lines& ends) const {
    Lines some;
    for (auto at = from; at < words_.size() && std::ranges::find(ends, words_[at]) == ends.end(); ++at)
      some.push_back(words_[at]);
    return some;
  }
  /// The word behind `word`; empty: it is not there.
  std::string behind(const std::string& word) const {
    const auto found = std::ranges::find(words_, word);
    return found == words_.end() || std::next(found) == words_.end() ? std::string() : *std::next(found);
  }
  static std::int64_t number(const std::string& word) { return std::strtoll(word.c_str(), nullptr, 10); }

  void do_it() {
    if (says("topic")) return topic();
    if (says("time", "passes")) return group_.pass(number(words_.at(2)));
    if (says("show")) return show();
    if (says("another", "coordinator")) return group_.fail_over(words_.back() == "log");
    if (says("operator", "resets")) return reset();
    REQUIRE(words_.size() >= 2);
    const auto& verb = words_[1];
    if (verb == "joins") return join();
    if (verb == "beats" || verb == "has") return beat();
    if (verb == "leaves") return leave();
    if (verb == "commits") return commit();
    if (verb == "asks") return ask();
    FAIL("nobody knows what this means: " << words_[0] << " " << verb);
  }

  void topic() {
    const auto& name = words_.at(1);
    const auto known = group_.image->find_topic(name);
    if (words_.at(2) == "gone") {
      return group_.change(apply_records(group_.image, {metadata::TopicRemovedRecord{known->id}}).after);
    }
    const auto count = static_cast<std::int32_t>(number(words_[2]));
    if (!known) return static_cast<void>(group_.topic(name, count));
    std::vector<metadata::MetadataRecord> more;
    for (auto at = known->partition_count(); at < count; ++at)
      more.emplace_back(
          metadata::PartitionRecord{known->id, PartitionId{at}, BrokerId{1}, LeaderEpoch{0}, {BrokerId{1}}, {BrokerId{1}}});
    group_.change(apply_records(group_.image, more).after);
  }

  // --- members

  void join() {
    MemberProfile profile;
    profile.topics = until(2, {"as", "matching", "session", "rebalance"});
    std::erase(profile.topics, "nothing");
    std::ranges::sort(profile.topics);
    profile.instance_id = behind("as");
    profile.pattern = behind("matching");
    if (const auto ms = behind("session"); !ms.empty()) profile.session_timeout_ms = number(ms);
    if (const auto ms = behind("rebalance"); !ms.empty()) profile.rebalance_timeout_ms = number(ms);
    heard(group_.beat({"g", words_[0], joining, profile, {}}));
  }
  void beat() {
    HeartbeatRequest request{"g", words_[0], epoch(), {}, {}};
    if (words_[1] == "has") {
      request.owned.emplace();
      for (const auto& one : until(2, {"in"})) {
        if (one != "nothing") request.owned->push_back(id_of(one));
      }
      std::ranges::sort(*request.owned);
    }
    heard(group_.beat(request));
  }
  void leave() {
    const bool for_a_while = words_.size() > 2;
    const auto answer = group_.beat({"g", words_[0], for_a_while ? leaving_for_a_while : leaving, {}, {}});
    said_.push_back(answer ? "it is out" + std::string(for_a_while ? ", what it has waits for it" : "")
                           : refusal(answer.error()));
  }
  void heard(const Result<HeartbeatAnswer>& answer) {
    if (!answer) return said_.push_back(refusal(answer.error()));
    epochs_[words_[0]] = answer->epoch;
    auto text = "epoch " + to_string(answer->epoch);
    if (answer->assignment) {
      Lines names;
      for (const auto& one : *answer->assignment) {
        names.push_back(name_of(one.partition) +
                        (one.reset_epoch > 0 ? " (reset " + std::to_string(one.reset_epoch) + ")" : ""));
      }
      text += ", reads " + list(names);
    }
    said_.push_back(text);
  }

  // --- positions

  void commit() {
    const auto partition = partition_of_name(words_.at(2));
    OffsetToCommit offset{partition.topic, partition.partition, Offset{number(words_.at(3))}};
    if (const auto of = behind("reset"); !of.empty()) offset.reset_epoch = static_cast<std::int32_t>(number(of));
    const Committer committer = words_[0] == "somebody" ? Committer{} : Committer{words_[0], epoch()};
    const auto answer = group_.run([&](Turn& turn) {
      return group_.coordinator->commit({"g", committer, {offset}}, group_.now, turn);
    });
    if (!answer) return said_.push_back(refusal(answer.error()));
    said_.push_back(answer->front() ? "committed" : refusal(answer->front().error()));
  }
  void ask() {
    const auto partition = partition_of_name(words_.at(2));
    const Committer asker = words_[0] == "somebody" ? Committer{} : Committer{words_[0], epoch()};
    const auto answer = group_.coordinator->offsets({"g", asker, std::vector<GroupPartition>{partition}});
    if (!answer) return said_.push_back(refusal(answer.error()));
    const auto& position = answer->front().second;
    said_.push_back(position ? "committed is " + to_string(position->offset) : "nothing is committed");
  }
  void reset() {
    const auto partition = partition_of_name(words_.at(2));
    const auto answer = group_.run([&](Turn& turn) {
      return group_.coordinator->reset({"g", {{partition, Offset{number(behind("to"))}}}}, group_.now, turn);
    });
    if (!answer) return said_.push_back(refusal(answer.error()));
    said_.push_back(answer->front() ? "done" : refusal(answer->front().error()));
  }

  void show() {
    const auto described = group_.coordinator->describe("g");
    if (!described) return said_.push_back(refusal(described.error()));
    said_.push_back("the group is " + std::string(to_string(described->state)) + ", epoch " + to_string(described->epoch));
    for (const auto& member : described->members) {
      const auto& current = member.current;
      const bool away = current.epoch == leaving_for_a_while;
      auto text = member.member + ": " + (away ? "away" : "epoch " + to_string(current.epoch)) + ", has " +
                  list(names_of(current.assigned));
      if (!current.revoking.empty()) text += ", gives up " + list(names_of(current.revoking));
      if (member.target != current.assigned) text += ", shall have " + list(names_of(member.target));
      said_.push_back(text);
    }
  }

  // --- words

  GroupEpoch epoch() const {
    if (const auto said = behind("epoch"); !said.empty()) return GroupEpoch{static_cast<std::int32_t>(number(said))};
    const auto found = epochs_.find(words_[0]);
    return found == epochs_.end() ? GroupEpoch{1} : found->second;
  }
  static GroupPartition partition_of_name(const std::string& name) {
    const auto dash = name.rfind('-');
    return {name.substr(0, dash), PartitionId{static_cast<std::int32_t>(number(name.substr(dash + 1)))}};
  }
  TopicIdPartition id_of(const std::string& name) const {
    const auto partition = partition_of_name(name);
    const auto topic = group_.image->find_topic(partition.topic);
    return {topic ? topic->id : TopicId{}, partition.partition};
  }
  std::string name_of(const TopicIdPartition& id) const {
    const auto topic = group_.image->find_topic(id.topic_id);
    return (topic ? topic->name : std::string("(gone)")) + "-" + to_string(id.partition);
  }
  Lines names_of(const PartitionList& partitions) const {
    Lines names;
    for (const auto& one : partitions) names.push_back(name_of(one));
    return names;
  }
  static std::string list(Lines names) {
    std::ranges::sort(names);
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : " ") + name;
    return text.empty() ? "nothing" : text;
  }
  static std::string refusal(const Error& error) {
    return "no: " + std::string(to_string(error.code)) + ", " + error.message;
  }

  GroupFixture group_;
  Lines words_;
  Lines said_;
  std::map<std::string, GroupEpoch> epochs_;  ///< as each heard last
};

constexpr auto mark = "  -> ";

bool is_answer(const std::string& line) { return line.starts_with(mark); }
bool is_prose(const std::string& line) { return line.empty() || line[0] == '#'; }

std::string as_text(const Lines& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

/// The transcript as it comes out.
Lines played(const Lines& lines) {
  Scenario scenario;
  Lines out;
  for (const auto& line : lines) {
    if (is_answer(line)) continue;
    out.push_back(line);
    if (is_prose(line)) continue;
    for (const auto& answer : scenario.run(line)) out.push_back(mark + answer);
  }
  return out;
}

}  // namespace

TEST_CASE("the transcripts of groups come out as they are written", "[group][scenarios]") {
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(TROUPE_SCENARIOS)) {
    if (file.path().extension() == ".txt" && file.path().stem() != "CMakeLists") files.push_back(file.path());
  }
  std::ranges::sort(files);
  CHECK(files.size() >= 10);
  for (const auto& path : files) {
    INFO(path.filename());
    std::ifstream file(path);
    Lines lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    const auto out = played(lines);
    if (std::getenv("TROUPE_SCENARIOS_WRITE") != nullptr)
      std::ofstream(path) << as_text(out);
    else
      CHECK(as_text(out) == as_text(lines));
  }
}
