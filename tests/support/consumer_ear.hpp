#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/record/record_batch.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fake_broker.hpp"

/// Members that read, and what they were told.
namespace troupe::test {

/// Keeps what it hears. It lets go of what is revoked at once, and works on records at once, unless it was told otherwise.
class Ear final : public ConsumerListener {
 public:
  void on_event(ConsumerEvent event) override {
    std::visit([this](auto& one) { hear(one); }, event);
  }

  /// "t-0@3" for each of its partitions: where it began.
  std::vector<std::string> owned() const {
    std::vector<std::string> all;
    for (const auto& [id, name] : names) all.push_back(name);
    std::ranges::sort(all);
    return all;
  }
  const std::vector<std::string>& values(const std::string& name) { return values_of[name]; }
  std::size_t count() const {
    std::size_t sum = 0;
    for (const auto& [name, values] : values_of) sum += values.size();
    return sum;
  }

  /// What it was told while it was opened is answered now.
  void begin(std::unique_ptr<Consumer> opened) {
    consumer = std::move(opened);
    if (releases && !revoking.empty()) consumer->released(revoking);
    for (const auto& event : std::exchange(unanswered_, {})) work_on(event);
  }

  std::unique_ptr<Consumer> consumer;
  bool works = true;     ///< consumes what it gets, and gives the credit back
  bool releases = true;  ///< at once
  std::map<TopicIdPartition, std::string> names;
  std::map<std::string, std::vector<std::string>> values_of;
  std::vector<std::string> log;  ///< everything but records, a word each
  group::PartitionList revoking;
  std::vector<std::int64_t> spent;  ///< by each delivery
  std::optional<Error> failed;
  bool closed = false;
  bool without_holes = true;  ///< deliveries followed each other, but for what it was told of

 private:
  static std::string name_of(const std::string& topic, const TopicIdPartition& id) {
    return topic + "-" + to_string(id.partition);
  }
  void note(const std::string& word, const group::PartitionList& partitions) {
    std::string text = word;
    for (const auto& id : partitions) text += " " + names[id];
    log.push_back(text);
  }

  void hear(const ConsumerAssigned& event) {
    std::string text = "assigned";
    for (const auto& one : event.partitions) {
      names[one.partition] = name_of(one.topic, one.partition);
      next_[one.partition] = one.next;
      text += " " + names[one.partition] + "@" + to_string(one.next);
    }
    log.push_back(text);
  }
  void hear(const ConsumerRevoking& event) {
    note("revoking", event.partitions);
    revoking = event.partitions;
    if (releases && consumer) consumer->released(event.partitions);
  }
  void hear(const ConsumerRevoked& event) {
    note(event.in_time ? "revoked" : "taken", event.partitions);
    for (const auto& id : event.partitions) names.erase(id);
  }
  void hear(const ConsumerLost& event) {
    note("lost", event.partitions);
    for (const auto& id : event.partitions) names.erase(id);
  }
  void hear(const ConsumerRecords& event) {
    spent.push_back(event.records);
    without_holes = without_holes && names.contains(event.partition) && next_[event.partition] == event.from;
    next_[event.partition] = event.next;
    auto& values = values_of[name_of(event.topic, event.partition)];
    for (std::size_t at = 0; at < event.batches.size();) {
      const auto batch = record::parse_batch(event.batches.view().subspan(at)).value();
      record::RecordReader reader(batch.header, batch.records_block());
      while (const auto one = reader.next()) {
        if (one->offset >= event.from && one->offset < event.next) values.emplace_back(as_text(*one->value));
      }
      at += batch.bytes.size();
    }
    if (consumer) {
      work_on(event);
    } else {
      unanswered_.push_back(event);
    }
  }
  void work_on(const ConsumerRecords& event) {
    if (!works) return;
    consumer->consumed(event.partition, event.next);
    consumer->credit({event.records, static_cast<std::int64_t>(event.batches.size())});
  }
  void hear(const ConsumerReset& event) {
    next_[event.partition] = event.to;
    static constexpr std::array words{"group", "seek", "retention", "log_cut"};
    log.push_back("reset " + name_of(event.topic, event.partition) + " " + to_string(event.from) + "->" +
                  to_string(event.to) + " " + words[static_cast<std::size_t>(event.reason)]);
  }
  void hear(const ConsumerPaused& event) { log.emplace_back(event.paused ? "paused" : "resumed"); }
  void hear(const ConsumerFailed& event) { failed = event.error; }
  void hear(const ConsumerClosed&) { closed = true; }

  std::map<TopicIdPartition, Offset> next_;
  std::vector<ConsumerRecords> unanswered_;
};

inline ConsumerOptions reads_topic(const std::string& topic, const std::string& group = "g") {
  ConsumerOptions options{.group = group};
  options.profile.topics = {topic};
  options.reset = OffsetReset::earliest;
  options.credit = {1'000, 1 << 20};
  options.release_ms_max = 5'000;
  return options;
}

/// One batch of values "first", "first+1", ...
inline void append_values(FakeBroker& broker, const std::string& topic, std::int32_t partition, int first, int count) {
  std::vector<std::pair<std::string, std::string>> batch;
  for (int i = first; i < first + count; ++i) batch.emplace_back("k", std::to_string(i));
  broker.append(topic, PartitionId{partition}, batch);
}

}  // namespace troupe::test
