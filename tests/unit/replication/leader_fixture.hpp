#pragma once

#include <algorithm>
#include <initializer_list>
#include <utility>
#include <vector>

#include "core/record/batch_builder.hpp"
#include "core/replication/leader_replica.hpp"
#include "tests/support/catch.hpp"

namespace troupe::replication::test {

inline std::vector<BrokerId> brokers(std::initializer_list<int> ids) {
  std::vector<BrokerId> all;
  for (const auto id : ids) all.push_back(BrokerId{id});
  return all;
}

inline NewBatch new_batch(std::int32_t records = 1, ProducerId producer = no_producer_id, std::int32_t sequence = -1) {
  record::RecordBatchBuilder builder;
  for (std::int32_t i = 0; i < records; ++i) builder.add({.timestamp = TimestampMs{1000}, .value = as_bytes("v")});
  if (producer != no_producer_id) builder.set_producer(producer, ProducerEpoch{0}, SequenceNumber{sequence});
  auto bytes = std::move(builder.build()).value();
  const auto header = record::parse_batch_header(bytes).value();
  return {Bytes::adopt(std::move(bytes)), header, {}};
}

/// Broker 1 leads epoch 5 of a partition on 1, 2 and 3, as run 11 of itself; 2 and 3 fetch as runs 12 and 13.
struct LeaderFixture {
  struct Setup {
    std::vector<BrokerId> isr = brokers({1, 2, 3});
    std::int32_t min_insync_replicas = 1;
    Flush flush = Flush::fsync;
    Offset log_start{0};
    Offset log_end{0};
    Offset durable_end{0};
    Offset high_watermark{0};
    std::vector<record::LeaderEpochCache::Entry> epochs = {};
    std::vector<BrokerId> replicas = brokers({1, 2, 3});
  };
  static constexpr LeaderEpoch epoch{5};

  PartitionState state;
  LeaderReplica replica;
  LeaderEffects effects;
  MonotonicMs now{1'000};

  explicit LeaderFixture(const Setup& setup)
      : state{.leader_epoch = epoch,
              .partition_epoch = PartitionEpoch{40},
              .leader = BrokerId{1},
              .replicas = setup.replicas,
              .isr = setup.isr},
        replica({.epoch = epoch,
                 .min_insync_replicas = setup.min_insync_replicas,
                 .flush = setup.flush,
                 .replica_lag_max_ms = 1'000,
                 .alter_retry_ms = 100},
                {BrokerId{1}, BrokerEpoch{11}}, state,
                {.log_start = setup.log_start,
                 .log_end = setup.log_end,
                 .durable_end = setup.durable_end,
                 .high_watermark = setup.high_watermark,
                 .epochs = record::LeaderEpochCache::from_entries(setup.epochs).value(),
                 .producers = {}}) {
    replica.begin(now, effects);
  }
  LeaderFixture() : LeaderFixture(Setup{}) {}

  /// Appends a batch; returns the slot's token for the disk.
  std::uint64_t produce(std::uint64_t slot, NewBatch batch, const ProduceTerms& terms = {}) {
    effects = {};
    std::vector<NewBatch> batches;
    batches.push_back(std::move(batch));
    replica.on_produce(slot, std::move(batches), terms, effects);
    return effects.appends.empty() ? 0 : effects.appends.back().token;
  }
  void appended(std::uint64_t token) {
    effects = {};
    replica.on_appended(token, ok(), effects);
  }
  /// `count` records in the leader's log, durable.
  void append_records(std::int32_t count) { appended(produce(next_slot++, new_batch(count))); }

  ReplicaFetch fetch_of(int broker, std::int64_t offset, std::int64_t durable = -1) const {
    const auto last = offset == 0 ? no_leader_epoch : epoch;
    return {BrokerId{broker},
            BrokerEpoch{broker + 10},
            {.leader_epoch = epoch,
             .fetch_offset = Offset{offset},
             .last_fetched_epoch = last,
             .durable_offset = Offset{durable < 0 ? offset : durable},
             .high_watermark = Offset{std::min(offset, replica.high_watermark().value())}}};
  }
  Result<bool> fetch(const ReplicaFetch& fetch) {
    effects = {};
    return replica.on_fetch(fetch, now, effects);
  }
  Result<bool> fetch(int broker, std::int64_t offset, std::int64_t durable = -1) {
    return fetch(fetch_of(broker, offset, durable));
  }
  void at(std::int64_t ms) {
    now = MonotonicMs{ms};
    effects = {};
    replica.on_deadline(now, effects);
  }
  /// The controller's answer to a request: the partition with this ISR.
  void accept(const AlterPartition& alter) {
    state.isr.clear();
    for (const auto& member : alter.isr) state.isr.push_back(member.broker);
    state.partition_epoch = state.partition_epoch + 1;
    effects = {};
    replica.on_alter_answer(alter.request, state, now, effects);
  }
  void refuse(const AlterPartition& alter, Errc code) {
    effects = {};
    replica.on_alter_answer(alter.request, Error{code, "no"}, now, effects);
  }
  std::vector<BrokerId> asked_for() const {
    std::vector<BrokerId> members;
    if (!effects.alter) return members;
    for (const auto& member : effects.alter->isr) members.push_back(member.broker);
    return members;
  }
  const Result<PlacedRecords>& only_result() const {
    REQUIRE(effects.answers.size() == 1);
    REQUIRE(effects.answers[0].results.size() == 1);
    return effects.answers[0].results[0];
  }

  std::uint64_t next_slot = 100;
};

}  // namespace troupe::replication::test
