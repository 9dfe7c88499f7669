#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/clock.hpp"
#include "core/ids.hpp"

namespace troupe::consumer {

/// The newest record of each key that a subscriber has not been given yet: what conflation and snapshots hold.
///
/// Keys of different partitions are different keys. Records without a key count as one key. Bounded by keys and bytes: `full` says when to
/// stop reading, and then the log is the buffer. Copies texts, so that a record of one key does not keep a whole batch in memory.
class LatestPerKey {
 public:
  struct Bounds {
    std::size_t keys_max = 10'000;
    std::size_t bytes_max = std::size_t{1} << 20;
    Millis interval_ms = 0;  ///< between two records of one key; 0: any rate
  };

  explicit LatestPerKey(Bounds bounds) : bounds_(bounds) {}

  /// Takes the record in place of an older one of its key. `partition`: any number of the caller's.
  void put(std::size_t partition, Offset offset, std::optional<std::string_view> key, std::string_view text,
           MonotonicMs now);
  /// Forgets the key's record, if there is one: a tombstone of a key that the subscriber has never seen.
  void drop(std::size_t partition, std::optional<std::string_view> key);

  /// The text of the record that goes next: in the order of the log among those that are due. nullptr: none is.
  const std::string* front(MonotonicMs now);
  /// Removes what `front` showed.
  void pop(MonotonicMs now);

  bool empty() const { return by_offset_.empty(); }
  bool full() const;
  /// When `front` may show something; nullopt: nothing is held.
  std::optional<MonotonicMs> next_due() const;
  /// The lowest offset that is held of a partition: a cursor must not lie above it.
  std::optional<Offset> lowest(std::size_t partition) const;
  /// Records that gave way to newer ones, since the last call.
  std::uint64_t take_conflated() { return std::exchange(conflated_, 0); }

 private:
  using Place = std::pair<std::size_t, Offset>;
  struct Slot {
    std::string key;
    std::string text;
    MonotonicMs due{0};
  };
  std::string key_of(std::size_t partition, std::optional<std::string_view> key) const;
  void erase(std::map<Place, Slot>::iterator slot);
  void forget_old_times(MonotonicMs now);

  Bounds bounds_;
  std::map<Place, Slot> by_offset_;
  std::unordered_map<std::string, Place> by_key_;
  std::unordered_map<std::string, MonotonicMs> given_at_;  ///< with an interval only
  std::optional<std::map<Place, Slot>::iterator> front_;
  MonotonicMs earliest_due_ = MonotonicMs::min();  ///< nothing is due before
  std::size_t bytes_ = 0;
  std::uint64_t conflated_ = 0;
};

}  // namespace troupe::consumer
