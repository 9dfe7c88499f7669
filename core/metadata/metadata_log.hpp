#pragma once

#include <cstdint>
#include <optional>

#include "base/result.hpp"
#include "core/ids.hpp"

namespace troupe::metadata {

/// One voter's part in the log under the metadata: whether it may propose, what is on its way, and what is committed. With one voter
/// what is on its disk is committed; several voters will answer the same calls by what a majority holds.
///
///   closed --opened--> replaying --replayed--> leading --propose--> appending
///     ^                                           ^- committed, refused -'
///     `------------------ lost, from anywhere ---------------------------'
///
/// One proposal is on its way at a time. After `lost` its outcome is open: opening and replaying the log shows it.
class MetadataLog {
 public:
  enum class State : std::uint8_t { closed, replaying, leading, appending };
  enum class Outcome : std::uint8_t {
    committed,  ///< for ever
    refused,    ///< nothing was written
    open,       ///< the log has to be opened and replayed
    stale,      ///< of an earlier proposal: means nothing
  };
  /// The batch that is proposed goes here.
  struct Place {
    std::uint64_t token;
    Offset base_offset;
    LeaderEpoch leader_epoch;
  };

  State state() const { return state_; }
  /// All below is committed.
  Offset committed() const { return committed_; }

  /// The log is open. This voter leads in the next epoch: its batches are told from those of every earlier run.
  void opened(Offset log_end_offset, std::optional<LeaderEpoch> latest_epoch) {
    state_ = State::replaying;
    committed_ = log_end_offset;
    epoch_ = latest_epoch ? *latest_epoch + 1 : LeaderEpoch{0};
  }

  /// Everything committed is in the image.
  void replayed() {
    TROUPE_ASSERT(state_ == State::replaying);
    state_ = State::leading;
  }

  /// Where the batch that comes next belongs.
  Place next_place() const {
    TROUPE_ASSERT(state_ == State::leading);
    return {token_ + 1, committed_, epoch_};
  }

  /// Proposes a batch of `records` records for `next_place()`.
  void propose(std::int32_t records) {
    TROUPE_ASSERT(state_ == State::leading && records > 0);
    state_ = State::appending;
    ++token_;
    proposed_end_ = committed_ + records;
  }

  Outcome appended(std::uint64_t token, const Status& status) {
    if (state_ != State::appending || token != token_) return Outcome::stale;
    if (status) {
      committed_ = proposed_end_;
      state_ = State::leading;
      return Outcome::committed;
    }
    if (status.error().code == Errc::storage_full) {
      state_ = State::leading;
      return Outcome::refused;
    }
    return Outcome::open;
  }

  void lost() { state_ = State::closed; }

 private:
  State state_ = State::closed;
  LeaderEpoch epoch_{0};
  Offset committed_{0};
  Offset proposed_end_{0};
  std::uint64_t token_ = 0;
};

}  // namespace troupe::metadata
