#include "core/group/classic_record.hpp"

#include "core/metadata/command_fields.hpp"

namespace troupe::group {
namespace {

using metadata::In;
using metadata::Out;

constexpr std::uint8_t version = 1;
/// Of a member's metadata or assignment: more than any limit lets in.
constexpr std::size_t blob_bytes_max = std::size_t{64} << 20;
constexpr Millis timeout_ms_max = 86'400'000;  // and so is this

}  // namespace

ByteBuffer encode_classic(const ClassicState& value) {
  ByteBuffer bytes;
  Out out(bytes);
  out.integer(version);
  out.integer(static_cast<std::uint8_t>(value.phase));
  out.integer(value.generation.value());
  out.text(value.protocol_type);
  out.text(value.protocol);
  out.text(value.leader);
  out.integer(value.members);
  out.integer(value.empty_since.value());
  return bytes;
}

bool decode_classic(ByteView bytes, ClassicState& value) {
  In in(bytes);
  in.integer<std::uint8_t>(version, version);
  value.phase = static_cast<ClassicPhase>(in.integer<std::uint8_t>(0, 3));
  value.generation = GroupEpoch{in.integer<std::int32_t>(0)};
  value.protocol_type = in.text();
  value.protocol = in.text();
  value.leader = in.text();
  value.members = in.integer<std::uint32_t>();
  value.empty_since = TimestampMs{in.integer<std::int64_t>()};
  return in.end();
}

ByteBuffer encode_classic(const ClassicProfile& value) {
  ByteBuffer bytes;
  Out out(bytes);
  out.integer(version);
  out.text(value.instance_id);
  out.text(value.client_id);
  out.text(value.client_host);
  out.integer(value.session_timeout_ms);
  out.integer(value.rebalance_timeout_ms);
  out.integer(static_cast<std::uint32_t>(value.protocols.size()));
  for (const auto& [name, metadata] : value.protocols) {
    out.text(name);
    out.text(metadata);
  }
  return bytes;
}

bool decode_classic(ByteView bytes, ClassicProfile& value) {
  In in(bytes);
  in.integer<std::uint8_t>(version, version);
  value.instance_id = in.text();
  value.client_id = in.text();
  value.client_host = in.text();
  value.session_timeout_ms = in.integer<Millis>(1, timeout_ms_max);
  value.rebalance_timeout_ms = in.integer<Millis>(1, timeout_ms_max);
  for (auto left = in.count(8); left > 0 && !in.wrong(); --left) {
    auto name = in.text();
    value.protocols.push_back({std::move(name), in.text(blob_bytes_max)});
  }
  return in.end() && !value.protocols.empty();
}

ByteBuffer encode_classic(const ClassicShare& value) {
  ByteBuffer bytes;
  Out out(bytes);
  out.integer(version);
  out.integer(value.generation.value());
  out.text(value.assignment);
  return bytes;
}

bool decode_classic(ByteView bytes, ClassicShare& value) {
  In in(bytes);
  in.integer<std::uint8_t>(version, version);
  value.generation = GroupEpoch{in.integer<std::int32_t>(0)};
  value.assignment = in.text(blob_bytes_max);
  return in.end();
}

}  // namespace troupe::group
