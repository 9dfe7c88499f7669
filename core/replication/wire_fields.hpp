#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>

#include "base/byte_codec.hpp"
#include "base/error.hpp"
#include "core/ids.hpp"

/// What the codecs between nodes have in common.
namespace troupe::replication {

inline void write_id(ByteWriter& writer, const TopicIdPartition& id) {
  writer.bytes(std::as_bytes(std::span{id.topic_id.bytes()}));
  writer.integer(id.partition.value());
}

/// Reads with the first failure kept, so that a message is read straight through and judged at its end.
class WireFields {
 public:
  explicit WireFields(ByteView bytes) : reader_(bytes) {}

  template <class Int>
  Int integer() {
    return reader_.integer<Int>().value_or(Int{0});
  }
  /// At least `least`; anything below is no message of ours.
  template <class Strong>
  Strong number(typename Strong::rep least) {
    const auto value = integer<typename Strong::rep>();
    if (value < least) wrong_ = true;
    return Strong{value};
  }
  TopicIdPartition id() {
    std::array<std::uint8_t, 16> uuid{};
    if (const auto bytes = reader_.bytes(uuid.size())) std::memcpy(uuid.data(), bytes->data(), uuid.size());
    return {Uuid{uuid}, number<PartitionId>(0)};
  }
  std::uint8_t flags(std::uint8_t known) {
    const auto value = integer<std::uint8_t>();
    if ((value & ~known) != 0) wrong_ = true;
    return value;
  }
  /// A count of things that take `each` bytes at least: not above `most`, never more than the rest can hold.
  std::size_t count(std::size_t most, std::size_t each) {
    const auto value = integer<std::uint32_t>();
    if (value > most || value > reader_.remaining() / each) wrong_ = true;
    return wrong_ ? 0 : value;
  }
  std::optional<Errc> error() {
    const auto value = integer<std::uint8_t>();
    if (value == 0) return std::nullopt;
    return static_cast<Errc>(value);
  }
  /// The next `size` bytes, sharing the memory of `all`, which this reads.
  Bytes slice(const Bytes& all, std::size_t size) {
    if (size > remaining()) refuse();
    if (!good()) return {};
    auto bytes = all.slice(at(all), size);
    skip(size);
    return bytes;
  }
  std::string text(std::size_t size) {
    const auto bytes = reader_.bytes(size);
    return bytes ? std::string(as_text(*bytes)) : std::string();
  }
  std::size_t at(ByteView all) const { return all.size() - reader_.remaining(); }
  void skip(std::size_t bytes) { reader_.bytes(bytes); }
  std::size_t remaining() const { return reader_.remaining(); }
  void refuse() { wrong_ = true; }
  bool good() const { return !wrong_ && !reader_.failed(); }
  bool finished() const { return good() && reader_.remaining() == 0; }

 private:
  ByteReader reader_;
  bool wrong_ = false;
};

}  // namespace troupe::replication
