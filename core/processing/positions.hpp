#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "core/ids.hpp"

/// How far the processors have come, as records of the internal topic `__processor_positions`: the last record of a key counts.
///
///   key     <processor>/<topic>/<partition>              none of them has a '/'
///   value   1 <topic id> <offset of the next record>     text; 1 is the version of this format
///
/// Part of the format of data on disk: a new form gets a new version.
namespace troupe::processing {

inline constexpr std::string_view positions_topic = "__processor_positions";

struct PositionKey {
  std::string processor;
  std::string topic;
  PartitionId partition{0};

  friend auto operator<=>(const PositionKey&, const PositionKey&) = default;
};

struct Position {
  TopicId topic_id;  ///< a topic that was deleted and made again has other offsets
  Offset next{0};    ///< everything below is done

  friend bool operator==(const Position&, const Position&) = default;
};

std::string encode_position_key(const PositionKey& key);
std::string encode_position(const Position& position);
/// Errors: corrupt_message.
Result<PositionKey> decode_position_key(std::string_view text);
Result<Position> decode_position(std::string_view text);

/// Folds the topic's records, in order: the last one of a key wins.
class PositionTable {
 public:
  /// A record that is not a position changes nothing. Errors: corrupt_message.
  Status apply(std::optional<std::string_view> key, std::optional<std::string_view> value);
  void set(const PositionKey& key, const Position& position) { positions_[key] = position; }
  /// nullopt: none, or one of another topic of that name.
  std::optional<Offset> find(const PositionKey& key, const TopicId& topic_id) const;
  const std::map<PositionKey, Position>& all() const { return positions_; }

 private:
  std::map<PositionKey, Position> positions_;
};

}  // namespace troupe::processing
