#pragma once

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/byte_codec.hpp"
#include "core/metadata/command_codec.hpp"

/// What the codecs of commands write and read with.
namespace troupe::metadata {

class Out {
 public:
  explicit Out(ByteBuffer& buffer) : out_(buffer) {}

  template <class Int>
  void integer(Int value) {
    out_.integer(value);
  }
  void flag(bool value) { out_.integer(static_cast<std::uint8_t>(value ? 1 : 0)); }
  void text(std::string_view value) {
    out_.integer(static_cast<std::uint32_t>(value.size()));
    out_.bytes(as_bytes(value));
  }
  void uuid(const Uuid& value) { out_.bytes(std::as_bytes(std::span{value.bytes()})); }
  void optional(const std::optional<std::int32_t>& value) {
    flag(value.has_value());
    if (value) integer(*value);
  }
  void id(const TopicIdPartition& value) {
    uuid(value.topic_id);
    integer(value.partition.value());
  }
  void brokers(const std::vector<BrokerId>& values) {
    integer(static_cast<std::uint32_t>(values.size()));
    for (const auto value : values) integer(value.value());
  }
  void requester(Requester value) { integer(static_cast<std::uint8_t>(value)); }

 private:
  ByteWriter out_;
};

/// Reads fields; after the first that is not right all are empty, and `end` says so.
class In {
 public:
  /// Of one partition.
  static constexpr std::size_t replicas_max = 10'000;

  explicit In(ByteView bytes) : in_(bytes) {}

  template <class Int>
  Int integer(Int min = std::numeric_limits<Int>::min(), Int max = std::numeric_limits<Int>::max()) {
    const auto value = in_.integer<Int>();
    if (!value || *value < min || *value > max) {
      wrong_ = true;
      return Int{};
    }
    return *value;
  }
  bool flag() { return integer<std::uint8_t>(0, 1) == 1; }
  std::string text(std::size_t size_max = command_bytes_max) {
    const auto size = integer<std::uint32_t>();
    if (wrong_ || size > size_max) {
      wrong_ = true;
      return {};
    }
    const auto bytes = in_.bytes(size);
    if (!bytes) {
      wrong_ = true;
      return {};
    }
    return std::string(as_text(*bytes));
  }
  Uuid uuid() {
    const auto bytes = in_.bytes(16);
    if (!bytes) {
      wrong_ = true;
      return {};
    }
    std::array<std::uint8_t, 16> raw{};
    std::ranges::transform(*bytes, raw.begin(), [](std::byte one) { return std::to_integer<std::uint8_t>(one); });
    return Uuid{raw};
  }
  std::optional<std::int32_t> optional() {
    if (!flag()) return std::nullopt;
    return integer<std::int32_t>();
  }
  BrokerId broker() { return BrokerId{integer<std::int32_t>(-1)}; }
  TopicIdPartition id() {
    const auto topic = uuid();
    return {topic, PartitionId{integer<std::int32_t>(0)}};
  }
  std::vector<BrokerId> brokers() {
    std::vector<BrokerId> values;
    for (auto left = count(4, replicas_max); left > 0 && !wrong(); --left) values.push_back(broker());
    return values;
  }
  Requester requester() { return static_cast<Requester>(integer<std::uint8_t>(0, 1)); }
  /// A count of things that take at least `bytes_each`.
  std::size_t count(std::size_t bytes_each, std::size_t max = command_bytes_max) {
    const auto count = integer<std::uint32_t>();
    if (count > max || count > in_.remaining() / bytes_each) wrong_ = true;
    return wrong_ ? 0 : count;
  }

  bool wrong() const { return wrong_ || in_.failed(); }
  bool end() const { return !wrong() && in_.remaining() == 0; }

 private:
  ByteReader in_;
  bool wrong_ = false;
};

// --- one of several: its place in the variant, and its fields

template <class Variant>
void write_one_of(Out& out, const Variant& value) {
  out.integer(static_cast<std::uint8_t>(value.index()));
  std::visit([&](const auto& one) { write(out, one); }, value);
}

template <class Variant, std::size_t... index>
void read_one_of(In& in, Variant& value, std::index_sequence<index...>) {
  const auto type = in.integer<std::uint8_t>(0, static_cast<std::uint8_t>(sizeof...(index) - 1));
  if (in.wrong()) return;
  ((type == index ? read(in, value.template emplace<index>()) : void()), ...);
}
template <class Variant>
void read_one_of(In& in, Variant& value) {
  read_one_of(in, value, std::make_index_sequence<std::variant_size_v<Variant>>{});
}

}  // namespace troupe::metadata
