#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "core/group/consumer_group.hpp"
#include "core/group/group_batches.hpp"

namespace troupe::group {

/// What turns have written, on its way into the log, and the answers that wait for it. Pure.
///
///   write, hold, write, hold --> take_append --> (committed) --> committed: the answers held until then are free
///                                    `-- one on its way at a time: what is written meanwhile goes together in the next
///
/// An answer goes out when everything that was written before it is committed, its own turn's records and those of all turns before.
/// A turn's records are in one batch, unless they are more than a batch holds.
template <class Answer>
class TurnLog {
 public:
  static constexpr std::size_t batch_bytes_wanted = std::size_t{1} << 20;  ///< turns are put together until then
  static constexpr std::size_t batch_bytes_max = std::size_t{6} << 20;

  void write(std::vector<Record> records) {
    if (records.empty()) return;
    ++written_;
    for (auto& record : records) open_.push_back({std::move(record), false});
    open_.back().ends_turn = true;
  }

  /// Out at once when nothing is on its way, else with `committed`.
  std::optional<Answer> hold(Answer answer) {
    if (committed_ == written_) return answer;
    held_.push_back({written_, std::move(answer)});
    return std::nullopt;
  }

  /// Whole batches, in order, to be appended together; none: nothing to write, or an append is on its way. Errors: those of encode_batch.
  Result<std::vector<ByteBuffer>> take_append(TimestampMs wall) {
    std::vector<ByteBuffer> batches;
    if (on_its_way_ || open_.empty()) return batches;
    std::vector<Record> batch;
    std::size_t bytes = 0;
    const auto close = [&]() -> Status {
      TROUPE_TRY_ASSIGN(auto encoded, encode_batch(batch, wall));
      batches.push_back(std::move(encoded));
      batch.clear();
      bytes = 0;
      return {};
    };
    for (auto& [record, ends_turn] : open_) {
      const auto size = size_of(record);
      if (!batch.empty() && bytes + size > batch_bytes_max) TROUPE_TRY(close());
      bytes += size;
      batch.push_back(std::move(record));
      if (ends_turn && bytes >= batch_bytes_wanted) TROUPE_TRY(close());
    }
    if (!batch.empty()) TROUPE_TRY(close());
    open_.clear();
    on_its_way_ = written_;
    return batches;
  }

  /// The append that was taken is committed: the answers that waited for it.
  std::vector<Answer> committed() {
    std::vector<Answer> free;
    if (!on_its_way_) return free;
    committed_ = *std::exchange(on_its_way_, std::nullopt);
    for (; !held_.empty() && held_.front().first <= committed_; held_.pop_front()) {
      free.push_back(std::move(held_.front().second));
    }
    return free;
  }

  std::size_t held() const { return held_.size(); }
  bool has_open() const { return !open_.empty(); }

 private:
  struct Open {
    Record record;
    bool ends_turn;
  };
  static std::size_t size_of(const Record& record) {
    constexpr std::size_t overhead = 32;
    const auto encoded = encode(record);
    return encoded.key.size() + (encoded.value ? encoded.value->size() : 0) + overhead;
  }

  std::vector<Open> open_;
  std::uint64_t written_ = 0;    ///< turns with records
  std::uint64_t committed_ = 0;  ///< of those
  std::optional<std::uint64_t> on_its_way_ = {};
  std::deque<std::pair<std::uint64_t, Answer>> held_;
};

}  // namespace troupe::group
