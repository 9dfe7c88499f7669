#pragma once

#include <functional>
#include <unordered_map>

#include <caf/fwd.hpp>

#include "actors/led_log.hpp"
#include "actors/partition_messages.hpp"

namespace troupe::actors {

/// What consumers want of a leader: records, from memory or from disk, now or when there are some; positions by time.
///
///   FetchPartition --> has records? --> recent batches | LogReaders ... ReadResult --> FetchAnswered
///                          `-- no: parked, until the rules say that it is readable
class LeaderReads {
 public:
  /// Both outlive this.
  LeaderReads(caf::event_based_actor& self, LedLog& log) : self_(self), log_(log) {}

  void fetch(const FetchPartition& asked);
  /// A parked fetch can be answered, or has waited long enough.
  void serve_parked(std::uint64_t token) { serve(token, false); }
  void read(const ReadResult& result);
  void cancel(const CancelFetch& request);
  void find(const FindOffset& request);
  void found(const TimestampResult& result);

  /// Of reads by others of the leader: never used here.
  static constexpr std::uint64_t first_token = 1;

 private:
  struct Fetch {
    FetchPartition asked;
    bool parked = false;
  };

  void serve(std::uint64_t token, bool may_park);
  FetchResponse response(Bytes batches, Offset next) const;
  void answer_fetch(std::uint64_t token, Result<FetchResponse> response);
  OffsetAnswer position(Offset offset) const;
  void answer_find(const FindOffset& request, Result<OffsetAnswer> answer);

  caf::event_based_actor& self_;
  LedLog& log_;
  std::unordered_map<std::uint64_t, Fetch> fetches_;
  std::uint64_t next_fetch_ = first_token;
  std::unordered_map<std::uint64_t, FindOffset> finds_;
  std::uint64_t next_find_ = first_token;
};

}  // namespace troupe::actors
