#include "core/processing/positions.hpp"

#include <charconv>

namespace troupe::processing {
namespace {

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

Error corrupt(std::string_view what, std::string_view text) {
  constexpr std::size_t shown = 100;
  return {Errc::corrupt_message, std::string(what) + ": \"" + std::string(text.substr(0, shown)) + "\""};
}

}  // namespace

std::string encode_position_key(const PositionKey& key) {
  return key.processor + "/" + key.topic + "/" + to_string(key.partition);
}

std::string encode_position(const Position& position) {
  return "1 " + to_string(position.topic_id) + " " + to_string(position.next);
}

Result<PositionKey> decode_position_key(std::string_view text) {
  const auto first = text.find('/');
  const auto last = text.rfind('/');
  if (first == std::string_view::npos || first == last) return corrupt("not a position's key", text);
  const auto partition = parse_number<std::int32_t>(text.substr(last + 1));
  if (!partition) return corrupt("not a position's key", text);
  return PositionKey{std::string(text.substr(0, first)), std::string(text.substr(first + 1, last - first - 1)),
                     PartitionId{*partition}};
}

Result<Position> decode_position(std::string_view text) {
  constexpr std::size_t uuid_size = 36;
  constexpr std::size_t uuid_at = 2;
  if (!text.starts_with("1 ") || text.size() < uuid_at + uuid_size + 2 || text[uuid_at + uuid_size] != ' ') {
    return corrupt("not a position", text);
  }
  const auto id = Uuid::parse(text.substr(uuid_at, uuid_size));
  const auto offset = parse_number<std::int64_t>(text.substr(uuid_at + uuid_size + 1));
  if (!id || !offset) return corrupt("not a position", text);
  return Position{*id, Offset{*offset}};
}

Status PositionTable::apply(std::optional<std::string_view> key, std::optional<std::string_view> value) {
  if (!key) return corrupt("not a position's key", "");
  TROUPE_TRY_ASSIGN(const auto of, decode_position_key(*key));
  if (!value) {
    positions_.erase(of);
    return ok();
  }
  TROUPE_TRY_ASSIGN(const auto position, decode_position(*value));
  positions_[of] = position;
  return ok();
}

std::optional<Offset> PositionTable::find(const PositionKey& key, const TopicId& topic_id) const {
  const auto found = positions_.find(key);
  if (found == positions_.end() || found->second.topic_id != topic_id) return std::nullopt;
  return found->second.next;
}

}  // namespace troupe::processing
