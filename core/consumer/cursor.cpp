#include "core/consumer/cursor.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "base/base64.hpp"
#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"

namespace troupe::consumer {
namespace {

constexpr std::byte version{1};
constexpr std::size_t partitions_max = 10'000;
constexpr std::size_t head_bytes = 1 + 16;
constexpr std::size_t entry_bytes_max = 5 + 5 + 10;
constexpr std::size_t checksum_bytes = 4;
constexpr std::size_t text_max = (head_bytes + partitions_max * entry_bytes_max + checksum_bytes + 2) / 3 * 4;

Error bad_cursor(const char* what) { return {Errc::invalid_argument, std::string("not a cursor: ") + what}; }
Error bad_start(const std::string& what) { return {Errc::invalid_argument, "from: " + what}; }

/// All of `text` as a number of at least `low`; nullopt for anything else, also for one that does not fit.
template <class Int>
std::optional<Int> number_in(std::string_view text, Int low = 0) {
  Int value = 0;
  const auto* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || at != end || text.empty() || value < low) return std::nullopt;
  return value;
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
std::int64_t days_from_civil(std::int64_t year, std::int64_t month, std::int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const auto era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = year - era * 400;
  const auto day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const auto day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

std::int64_t days_in_month(std::int64_t year, std::int64_t month) {
  constexpr std::array days{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : days[static_cast<std::size_t>(month - 1)];
}

/// Takes fields of fixed width from the front of a text.
class Fields {
 public:
  explicit Fields(std::string_view text) : rest_(text) {}

  std::int64_t digits(std::size_t count) {
    std::int64_t value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') {
        wrong_ = true;
        return 0;
      }
      value = value * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return value;
  }
  char one_of(std::string_view characters) {
    if (rest_.empty() || characters.find(rest_.front()) == std::string_view::npos) {
      wrong_ = true;
      return '\0';
    }
    const char found = rest_.front();
    rest_.remove_prefix(1);
    return found;
  }
  /// ".123456": milliseconds, what is finer is cut off; 0 when there is no fraction.
  std::int64_t fraction_ms() {
    if (!rest_.starts_with('.')) return 0;
    rest_.remove_prefix(1);
    std::int64_t value = 0;
    std::int64_t unit = 100;
    std::size_t count = 0;
    for (; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; ++count, rest_.remove_prefix(1), unit /= 10) {
      value += (rest_.front() - '0') * unit;
    }
    wrong_ = wrong_ || count == 0;
    return value;
  }
  bool all_well() const { return !wrong_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool wrong_ = false;
};

std::optional<TimestampMs> parse_rfc3339(std::string_view text) {
  Fields fields(text);
  const auto year = fields.digits(4);
  fields.one_of("-");
  const auto month = fields.digits(2);
  fields.one_of("-");
  const auto day = fields.digits(2);
  fields.one_of("Tt ");
  const auto hour = fields.digits(2);
  fields.one_of(":");
  const auto minute = fields.digits(2);
  fields.one_of(":");
  const auto second = fields.digits(2);
  const auto fraction = fields.fraction_ms();
  const char zone = fields.one_of("Zz+-");
  std::int64_t zone_minutes = 0;
  if (zone == '+' || zone == '-') {
    const auto hours = fields.digits(2);
    fields.one_of(":");
    const auto minutes = fields.digits(2);
    if (hours > 23 || minutes > 59) return std::nullopt;
    zone_minutes = (hours * 60 + minutes) * (zone == '-' ? -1 : 1);
  }
  // Second 60 is a leap second: the first moment of the next minute.
  const bool in_range = month >= 1 && month <= 12 && day >= 1 && hour <= 23 && minute <= 59 && second <= 60;
  if (!fields.all_well() || !in_range || day > days_in_month(year, month)) return std::nullopt;
  const auto minutes = (days_from_civil(year, month, day) * 24 + hour) * 60 + minute - zone_minutes;
  const auto ms = (minutes * 60 + second) * 1000 + fraction;
  if (ms < 0) return std::nullopt;
  return TimestampMs{ms};
}

std::optional<Millis> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    Millis ms;
  };
  // "ms" before "s" and "m": the longest name that fits.
  static constexpr std::array units{Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60'000}, Unit{"h", 3'600'000},
                                    Unit{"d", 86'400'000}};
  for (const auto& unit : units) {
    if (!text.ends_with(unit.name)) continue;
    const auto count = number_in<Millis>(text.substr(0, text.size() - unit.name.size()));
    if (!count || *count > std::numeric_limits<Millis>::max() / unit.ms) return std::nullopt;
    return *count * unit.ms;
  }
  return std::nullopt;
}

Result<std::map<PartitionId, Offset>> parse_offsets(std::string_view text) {
  std::map<PartitionId, Offset> offsets;
  while (true) {
    const auto comma = text.find(',');
    const auto pair = text.substr(0, comma);
    const auto colon = pair.find(':');
    const auto partition = number_in<std::int32_t>(pair.substr(0, colon));
    const auto offset = colon == std::string_view::npos ? std::nullopt : number_in<std::int64_t>(pair.substr(colon + 1));
    if (!partition || !offset) return bad_start("offset: wants PARTITION:OFFSET pairs, as offset:0:120,1:77");
    if (!offsets.emplace(PartitionId{*partition}, Offset{*offset}).second) {
      return bad_start("offset: partition " + std::to_string(*partition) + " is named twice");
    }
    if (offsets.size() > partitions_max) return bad_start("offset: more than 10000 partitions");
    if (comma == std::string_view::npos) return offsets;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

std::string Cursor::encode() const {
  ByteBuffer bytes;
  bytes.reserve(head_bytes + positions.size() * 8 + checksum_bytes);
  bytes.push_back(version);
  append_bytes(bytes, std::as_bytes(std::span{topic_id.bytes()}));
  ByteWriter writer(bytes);
  std::int32_t partition_before = -1;
  std::int32_t epoch_before = 0;
  std::int64_t offset_before = 0;
  for (const auto& [partition, position] : positions) {
    writer.varint(partition.value() - partition_before - 1);
    writer.varlong(std::int64_t{position.leader_epoch.value()} - epoch_before);
    writer.varlong(position.next_offset.value() - offset_before);
    partition_before = partition.value();
    epoch_before = position.leader_epoch.value();
    offset_before = position.next_offset.value();
  }
  writer.integer(crc32c(bytes));
  std::string text;
  append_base64_url(text, bytes);
  return text;
}

Result<Cursor> Cursor::decode(std::string_view text) {
  if (text.empty()) return bad_cursor("it is empty");
  if (text.size() > text_max) return bad_cursor("it is longer than one of 10000 partitions");
  const auto bytes = decode_base64_url(text);
  if (!bytes) return bad_cursor("it is not base64url without padding");
  if (bytes->front() != version) return bad_cursor("another version's, or cut out of its context");
  if (bytes->size() < head_bytes + checksum_bytes) return bad_cursor("it was cut off");
  const auto content = ByteView(*bytes).first(bytes->size() - checksum_bytes);
  if (load_big_endian<std::uint32_t>(bytes->data() + content.size()) != crc32c(content)) {
    return bad_cursor("it was cut off or changed on its way");
  }

  Cursor cursor;
  std::array<std::uint8_t, 16> id_bytes{};
  std::ranges::transform(content.subspan(1, 16), id_bytes.begin(),
                         [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
  cursor.topic_id = TopicId{id_bytes};
  ByteReader reader(content.subspan(head_bytes));
  std::int64_t partition = -1;
  std::int64_t epoch = 0;
  std::int64_t offset = 0;
  while (reader.remaining() > 0) {
    const auto step = reader.varint();
    const auto epoch_step = reader.varlong();
    const auto offset_step = reader.varlong();
    if (!step || !epoch_step || !offset_step) return bad_cursor("it ends within a position");
    if (cursor.positions.size() == partitions_max) return bad_cursor("it names more than 10000 partitions");
    if (*step < 0) return bad_cursor("its partitions do not ascend");
    partition += std::int64_t{*step} + 1;
    if (partition > std::numeric_limits<std::int32_t>::max()) return bad_cursor("a partition's number is too large");
    // Neither sum can overflow once the step is known to stay within bounds.
    if (*epoch_step < -1 - epoch || *epoch_step > std::numeric_limits<std::int32_t>::max() - epoch) {
      return bad_cursor("a leader epoch is out of range");
    }
    epoch += *epoch_step;
    if (*offset_step < -offset || *offset_step > std::numeric_limits<std::int64_t>::max() - offset) {
      return bad_cursor("an offset is out of range");
    }
    offset += *offset_step;
    cursor.positions.emplace_hint(
        cursor.positions.end(), PartitionId{static_cast<std::int32_t>(partition)},
        CursorPosition{.leader_epoch = LeaderEpoch{static_cast<std::int32_t>(epoch)}, .next_offset = Offset{offset}});
  }
  if (cursor.encode() != text) return bad_cursor("its numbers are padded");
  return cursor;
}

Result<TimestampMs> parse_time(std::string_view text) {
  if (const auto ms = number_in<std::int64_t>(text)) return TimestampMs{*ms};
  if (const auto time = parse_rfc3339(text)) return *time;
  return Error{Errc::invalid_argument,
               "time: wants milliseconds since 1970 or RFC 3339 with a zone, from 1970 on: 2026-01-02T03:04:05Z"};
}

Result<StartFrom> parse_start(std::string_view text) {
  using Kind = StartFrom::Kind;
  if (text == "earliest") return StartFrom{.kind = Kind::earliest};
  if (text == "latest") return StartFrom{.kind = Kind::latest};
  const auto colon = text.find(':');
  const auto name = text.substr(0, colon);
  const auto rest = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
  if (name == "last") {
    const auto count = number_in<std::int64_t>(rest);
    if (!count) return bad_start("last: wants a number of records, as last:50");
    return StartFrom{.kind = Kind::last, .last = *count};
  }
  if (name == "offset") {
    TROUPE_TRY_ASSIGN(auto offsets, parse_offsets(rest));
    return StartFrom{.kind = Kind::offsets, .offsets = std::move(offsets)};
  }
  if (name == "time") {
    TROUPE_TRY_ASSIGN(const auto time, parse_time(rest));
    return StartFrom{.kind = Kind::time, .time = time};
  }
  if (name == "ago") {
    const auto ago = parse_duration(rest);
    if (!ago) return bad_start("ago: wants a length of time, as ago:500ms, 10s, 5m, 2h or 1d");
    return StartFrom{.kind = Kind::ago, .ago_ms = *ago};
  }
  return bad_start("wants earliest, latest, last:N, offset:P:O,..., time:T or ago:D");
}

}  // namespace troupe::consumer
