#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "core/consumer/subscription.hpp"
#include "core/record/record_batch.hpp"
#include "http/json/record_output.hpp"

namespace troupe::http {

/// How a stream wants its records: each kind is rendered once a batch, for all streams of a thread.
struct RenderKind {
  RecordFormat format = RecordFormat::auto_;
  bool events = false;      ///< "data: {...}\n\n" with "event: delete" for tombstones; else "{...},"
  bool with_topic = false;  ///< each record begins with "t"

  std::size_t number() const { return static_cast<std::size_t>(format) * 4 + (events ? 2U : 0U) + (with_topic ? 1U : 0U); }
};
inline constexpr std::size_t render_kinds = 16;

/// The records of one batch as text. Record i is text[starts[i], starts[i + 1]).
struct Rendering {
  std::string text;
  std::vector<std::uint32_t> starts;
};

/// One batch of one partition, decoded once, rendered when somebody wants it. On one thread only; what it rendered is immutable.
class SharedBatch {
 public:
  /// The first batch of `bytes`, which covers offsets from `from` on (or from its base offset, if that is lower).
  /// Errors: as `parse_batch`, `open_records` and `RecordReader`.
  static Result<std::shared_ptr<SharedBatch>> decode(PartitionId partition, const std::string& topic, Bytes bytes,
                                                     Offset from);
  /// No records in [from, next): compaction took them.
  static std::shared_ptr<SharedBatch> hole(PartitionId partition, Offset from, Offset next);

  const consumer::RecordRun& run() const { return run_; }
  PartitionId partition() const { return partition_; }
  const std::string& topic() const { return topic_; }
  std::shared_ptr<const Rendering> render(RenderKind kind);
  /// Memory that it holds, about.
  std::size_t bytes() const { return held_bytes_; }

  /// When it came as news; 0: it was fetched.
  MonotonicMs arrived{0};

 private:
  PartitionId partition_;
  std::string topic_;
  consumer::RecordRun run_;
  Bytes batch_;
  ByteBuffer inflated_;
  std::vector<record::RecordView> records_;
  std::array<std::shared_ptr<const Rendering>, render_kinds> renderings_;
  std::size_t held_bytes_ = 0;
};

}  // namespace troupe::http
