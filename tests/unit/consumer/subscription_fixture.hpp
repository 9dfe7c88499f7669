#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "core/consumer/subscription.hpp"

namespace troupe::test {

/// A log of one topic in memory and a driver as the gateway has one: batches with holes, a cache that forgets, fetches that are answered
/// later, tails that move. Everything the subscription is given comes from here.
class SubscriptionFixture {
 public:
  struct Record {
    Offset offset;
    std::string key = {};
    std::string text = {};
    bool tombstone = false;
    TimestampMs timestamp = no_timestamp;
  };
  struct Batch {
    consumer::RecordRun run;
    std::vector<Record> records;
    std::string text;
    std::vector<std::uint32_t> starts;
  };
  struct Partition {
    std::vector<std::shared_ptr<Batch>> batches;
    Offset start{0};
    Offset end{0};
  };
  struct Given {
    std::size_t partition;
    Offset offset;
    std::string text;
  };

  SubscriptionFixture(std::uint64_t seed, std::size_t partition_count) : prng(seed), partitions(partition_count) {
    topic_id = Uuid::random(prng);
  }

  /// Appends a batch of `count` records; every third offset or so is a hole when `holes`.
  void append(std::size_t partition, std::size_t count, std::size_t keys = 5, bool holes = false) {
    auto& log = partitions[partition];
    auto batch = std::make_shared<Batch>();
    batch->run.from = log.end;
    batch->run.leader_epoch = LeaderEpoch{3};
    for (std::size_t i = 0; i < count; ++i) {
      if (holes && prng.chance(1, 3)) ++log.end;
      Record record{.offset = log.end, .key = "k" + std::to_string(prng.below(keys)), .timestamp = TimestampMs{++clock}};
      record.tombstone = prng.chance(1, 10);
      record.text = std::to_string(partition) + "/" + to_string(record.offset) + std::string(prng.below(30), '.') + ",";
      ++log.end;
      batch->records.push_back(record);
    }
    if (holes && prng.chance(1, 3)) ++log.end;
    batch->run.next = log.end;
    render(*batch);
    if (count > 0 || batch->run.next > batch->run.from) log.batches.push_back(batch);
  }

  /// Appends one record in a batch of its own, with `padding` bytes more than its place needs.
  void append_one(std::size_t partition, const std::string& key, bool tombstone = false, std::size_t padding = 0) {
    auto& log = partitions[partition];
    auto batch = std::make_shared<Batch>();
    batch->run.from = log.end;
    batch->run.leader_epoch = LeaderEpoch{3};
    batch->records.push_back({.offset = log.end,
                              .key = key,
                              .text = std::to_string(partition) + "/" + to_string(log.end) + std::string(padding, '.') + ",",
                              .tombstone = tombstone,
                              .timestamp = TimestampMs{++clock}});
    batch->run.next = ++log.end;
    render(*batch);
    log.batches.push_back(batch);
  }

  void cut_before(std::size_t partition, Offset offset) {
    auto& log = partitions[partition];
    log.start = std::max(log.start, offset);
    std::erase_if(log.batches, [&](const auto& batch) { return batch->run.next <= log.start; });
  }

  consumer::Subscription subscribe(consumer::StartFrom from, consumer::SubscriptionOptions options = {}) {
    consumer::TopicSelection selection{.topic_id = topic_id, .partitions = {}, .from = std::move(from)};
    for (std::size_t i = 0; i < partitions.size(); ++i) selection.partitions.emplace_back(static_cast<std::int32_t>(i));
    options.topics = {std::move(selection)};
    return consumer::Subscription(std::move(options), TimestampMs{clock});
  }

  /// Does what the subscription wants until it is idle. `slow`: reads may be put off and answered by `answer_reads`.
  void pump(consumer::Subscription& subscription, std::size_t room_bytes = std::size_t{1} << 30, bool slow = false) {
    std::size_t used = 0;
    while (true) {
      const auto room = [&] {
        return consumer::Room{.bytes = room_bytes - std::min(room_bytes, used), .untouched = used == 0 && room_bytes > 0};
      };
      while (auto text = subscription.take_held(room(), now)) {
        used += text->size();
        take_text(*text);
      }
      const auto step = subscription.next(room());
      if (step.kind == consumer::Step::Kind::idle) return;
      if (step.kind == consumer::Step::Kind::find) {
        answer_find(subscription, step);
      } else if (slow && prng.chance(1, 3)) {
        pending.push_back(step);
      } else {
        used += answer_read(subscription, step, room());
      }
    }
  }

  void answer_reads(consumer::Subscription& subscription, std::size_t room_bytes) {
    auto steps = std::exchange(pending, {});
    for (const auto& step : steps) answer_read(subscription, step, {.bytes = room_bytes, .untouched = room_bytes > 0});
    subscription.go_on();
  }
  void move_tails(consumer::Subscription& subscription) {
    for (std::size_t i = 0; i < partitions.size(); ++i) {
      subscription.high_watermark(i, partitions[i].end);
      subscription.tail_moved(i);
    }
  }

  /// What a subscriber from these offsets should have been given, in order, of one partition.
  std::vector<std::string> expected(std::size_t partition, Offset from,
                                    const std::set<std::string, std::less<>>& keys = {}) const {
    std::vector<std::string> all;
    for (const auto& batch : partitions[partition].batches) {
      for (const auto& record : batch->records) {
        if (record.offset >= from && (keys.empty() || keys.contains(record.key))) all.push_back(record.text);
      }
    }
    return all;
  }
  std::vector<std::string> given_of(std::size_t partition) const {
    std::vector<std::string> all;
    for (const auto& one : given) {
      if (one.partition == partition) all.push_back(one.text);
    }
    return all;
  }

  Prng prng;
  std::vector<Partition> partitions;
  TopicId topic_id;
  MonotonicMs now{1000};
  std::int64_t clock = 1000;
  bool reads_fail = true;                     ///< one in twenty, for a while
  std::optional<Offset> heard = {};           ///< positions are told by a replica that follows, and knows so much
  LeaderEpoch leader_epoch = LeaderEpoch{3};  ///< of whoever tells positions
  std::vector<Given> given;
  std::vector<std::size_t> bytes_taken;  ///< a record each, as credits count them
  std::deque<consumer::Step> pending;

 private:
  static void render(Batch& batch) {
    for (const auto& record : batch.records) {
      batch.starts.push_back(static_cast<std::uint32_t>(batch.text.size()));
      batch.text += record.text;
      batch.run.records.push_back({record.offset, record.timestamp, record.key, record.tombstone});
    }
    batch.starts.push_back(static_cast<std::uint32_t>(batch.text.size()));
  }
  void answer_find(consumer::Subscription& subscription, const consumer::Step& step) {
    const auto& log = partitions[step.partition];
    consumer::Subscription::Found found{.offset = log.end, .log_start_offset = log.start, .high_watermark = log.end};
    if (step.spec == consumer::Step::Spec::earliest) found.offset = log.start;
    if (step.spec == consumer::Step::Spec::time) {
      for (auto batch = log.batches.rbegin(); batch != log.batches.rend(); ++batch) {
        for (auto record = (*batch)->records.rbegin(); record != (*batch)->records.rend(); ++record) {
          if (record->timestamp >= step.time) found.offset = record->offset;
        }
      }
    }
    found.leader_epoch = leader_epoch;
    if (heard && !step.of_leader) {
      found.high_watermark = std::min(found.high_watermark, *heard);
      found.leader_epoch = no_leader_epoch;
    }
    subscription.found(step.partition, found, now);
  }
  std::size_t answer_read(consumer::Subscription& subscription, const consumer::Step& step, consumer::Room room) {
    const auto& log = partitions[step.partition];
    if (step.from < log.start) {
      subscription.failed(step.partition, {Errc::offset_out_of_range, "gone"}, now);
      return 0;
    }
    if (reads_fail && prng.chance(1, 20)) {
      subscription.failed(step.partition, {Errc::leader_not_available, "for now"}, now);
      now += 200;
      subscription.tick(now);
      return 0;
    }
    for (const auto& batch : log.batches) {
      if (batch->run.next <= step.from) continue;
      if (subscription.scans(step.partition)) {
        subscription.scan(step.partition, batch->run);
        return 0;
      }
      std::vector<consumer::Subscription::Range> ranges;
      const auto bytes = subscription.offer(step.partition, {&batch->run, batch->text, batch->starts}, room, now, ranges);
      for (const auto& range : ranges) {
        for (auto i = range.begin; i < range.end; ++i) {
          given.push_back({step.partition, batch->records[i].offset, batch->records[i].text});
          bytes_taken.push_back(batch->records[i].text.size());
        }
      }
      return bytes;
    }
    subscription.at_tail(step.partition);
    return 0;
  }
  void take_text(const std::string& text) {
    const auto slash = text.find('/');
    given.push_back({std::stoul(text.substr(0, slash)), Offset{std::stoll(text.substr(slash + 1))}, text});
    bytes_taken.push_back(text.size());
  }
};

}  // namespace troupe::test
