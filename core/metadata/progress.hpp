#pragma once

#include <algorithm>
#include <deque>
#include <optional>

#include "base/clock.hpp"
#include "core/metadata/quorum_messages.hpp"

namespace troupe::quorum {

/// What a leader knows of one replica that follows it, voter or not.
///
///              accepted                            below the log's start
///   probe ----------------> replicate      either ------------------------> snapshot
///     ^   <----------------                                                     |
///     |   refused, unreachable                                                  |
///     `-------------------------------- all of it sent --------------------------'
///
///   probe      one message at a time, until it is clear where the two logs are equal
///   replicate  messages go out without waiting for answers, up to a bound in bytes and in messages that are not yet on its disk;
///              after a refusal one at a time, and twice as many with each that is taken
///   snapshot   what the replica needs first is no longer in the log: chunk by chunk
class Progress {
 public:
  enum class State : std::uint8_t { probe, replicate, snapshot };
  struct Transfer {
    SnapshotMeta snapshot = {};
    std::uint64_t position = 0;
    std::optional<std::uint64_t> read_token = {};  ///< the chunk is being read
    bool waiting = false;                          ///< the chunk was sent
    MonotonicMs since{0};                          ///< of the wait
  };

  Progress(Offset next, MonotonicMs now) : next_(next), heard_at_(now) {}

  State state() const { return state_; }
  /// The replica holds all below, on its disk.
  Offset durable() const { return durable_; }
  /// What is sent next begins here.
  Offset next() const { return next_; }
  MonotonicMs heard_at() const { return heard_at_; }
  std::uint64_t round() const { return round_; }
  std::size_t inflight_bytes() const { return inflight_bytes_; }

  bool may_send(std::size_t bytes_max, std::size_t messages_max) const {
    switch (state_) {
      case State::probe: return !probe_sent_;
      case State::replicate: return inflight_.size() < std::min(messages_max, window_) && inflight_bytes_ < bytes_max;
      case State::snapshot: return false;
    }
    return false;
  }

  void heard(MonotonicMs now, std::uint64_t round) {
    heard_at_ = now;
    if (round > round_) round_ = round;
  }

  /// Entries up to `end` went out.
  void sent(Offset end, std::size_t bytes) {
    if (state_ == State::probe) {
      probe_sent_ = true;
      return;
    }
    next_ = end;
    inflight_.push_back({end, bytes});
    inflight_bytes_ += bytes;
  }

  /// The replica has all below `matched`, and on its disk all below `durable`.
  void accepted(Offset matched, Offset durable) {
    refusals_ = 0;
    if (durable > durable_) durable_ = durable;
    if (state_ == State::snapshot && matched < transfer_->snapshot.end_offset) return;
    if (state_ != State::replicate) {
      transfer_.reset();
      clear_inflight();
      state_ = State::replicate;
      next_ = matched;
    } else if (matched > matched_) {
      window_ = std::min(2 * window_, window_max);
    }
    matched_ = std::max(matched_, matched);
    if (next_ < matched) next_ = matched;
    while (!inflight_.empty() && inflight_.front().end <= durable) {
      inflight_bytes_ -= inflight_.front().bytes;
      inflight_.pop_front();
    }
  }

  /// The replica lacks what it has acknowledged. Late messages say so, too, now and then; a disk that was put back does again and again.
  /// Returns how often in a row.
  int forgot() { return ++refusals_; }

  /// The replica could not take what it was sent. Whoever lost one message refuses all that were on their way behind it: were each of
  /// them answered by as many again, that would not end.
  void refused() { window_ = 1; }

  /// Looks for the place where the logs are equal, from `next` on.
  void probe(Offset next) {
    state_ = State::probe;
    next_ = next;
    matched_ = next;
    probe_sent_ = false;
    read_token_.reset();
    transfer_.reset();
    clear_inflight();
  }
  /// The probe, or its answer, may be lost: it may be sent again.
  void probe_again() { probe_sent_ = false; }

  void send_snapshot(const SnapshotMeta& snapshot) {
    probe(snapshot.end_offset);
    state_ = State::snapshot;
    transfer_ = Transfer{.snapshot = snapshot};
  }
  /// Null in other states.
  Transfer* transfer() { return transfer_ ? &*transfer_ : nullptr; }

  /// Of the read of older entries that is on its way.
  std::optional<std::uint64_t>& read_token() { return read_token_; }

 private:
  struct Inflight {
    Offset end;
    std::size_t bytes;
  };

  static constexpr std::size_t window_max = std::size_t{1} << 20;

  void clear_inflight() {
    inflight_.clear();
    inflight_bytes_ = 0;
  }

  State state_ = State::probe;
  Offset durable_{0};
  Offset next_;
  Offset matched_{0};                ///< since the last probe
  std::size_t window_ = window_max;  ///< messages that may be on their way
  MonotonicMs heard_at_;
  std::uint64_t round_ = 0;
  int refusals_ = 0;
  bool probe_sent_ = false;
  std::deque<Inflight> inflight_;
  std::size_t inflight_bytes_ = 0;
  std::optional<std::uint64_t> read_token_;
  std::optional<Transfer> transfer_;
};

}  // namespace troupe::quorum
