#pragma once

#include <optional>

#include "core/processing/processor.hpp"
#include "core/record/record_batch.hpp"

namespace troupe::processing {

/// The records of one fetch, opened one batch at a time so that no more than one is inflated. Control batches, and headers that are the
/// system's own, are left out.
class FetchedRecords {
 public:
  FetchedRecords() = default;
  /// Records below `from` are left out; `end` is where the fetch ended. `topic` outlives this.
  FetchedRecords(std::string_view topic, PartitionId partition, Bytes batches, Offset from, Offset end)
      : bytes_(std::move(batches)), from_(from), end_(end) {
    front_.topic = topic;
    front_.partition = partition;
  }

  /// The record that is next, null at the end. It stays the same, and valid, until `pop`.
  /// Errors: corrupt_message, message_too_large, unsupported_compression_type (a batch that cannot be opened).
  Result<const InputRecord*> front();
  /// Goes on behind the record that `front` returned.
  void pop() { has_front_ = false; }

  Offset end() const { return end_; }

 private:
  Result<bool> open_next_batch();
  Status show(const record::RecordView& record);

  Bytes bytes_;
  std::size_t at_ = 0;
  Offset from_{0};
  Offset end_{0};
  std::optional<record::RecordsBlock> block_;
  std::optional<record::RecordReader> reader_;
  InputRecord front_;
  bool has_front_ = false;
};

}  // namespace troupe::processing
