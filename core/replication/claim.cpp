#include "core/replication/claim.hpp"

#include <cstring>

#include "base/byte_codec.hpp"

namespace troupe::replication {
namespace {

constexpr std::uint8_t version = 1;

}  // namespace

std::array<std::byte, claim_bytes> encode_claim(const Claim& claim) noexcept {
  std::array<std::byte, claim_bytes> bytes{};
  auto* to = bytes.data();
  *to++ = std::byte{version};
  std::memcpy(to, claim.client.data(), claim.client.size());
  to += claim.client.size();
  store_big_endian(to, claim.sequence);
  store_big_endian(to + 8, claim.digest);
  store_big_endian(to + 16, claim.claimed_at.value());
  return bytes;
}

std::optional<Claim> decode_claim(ByteView bytes) noexcept {
  if (bytes.size() != claim_bytes || bytes[0] != std::byte{version}) return std::nullopt;
  Claim claim;
  const auto* from = bytes.data() + 1;
  std::memcpy(claim.client.data(), from, claim.client.size());
  from += claim.client.size();
  claim.sequence = load_big_endian<std::uint64_t>(from);
  claim.digest = load_big_endian<std::uint64_t>(from + 8);
  claim.claimed_at = TimestampMs{load_big_endian<std::int64_t>(from + 16)};
  return claim;
}

std::optional<Claim> claim_of(const record::RecordBatchView& batch) {
  if (batch.header.is_control() || batch.header.records_count == 0) return std::nullopt;
  const auto block = record::open_records(batch, {});
  if (!block) return std::nullopt;
  record::RecordReader reader(batch.header, block->bytes);
  const auto first = reader.next();
  if (!first || first->headers_count == 0) return std::nullopt;
  const auto headers = record::decode_headers(*first);
  if (!headers) return std::nullopt;
  for (const auto& header : *headers) {
    if (as_text(header.key) == claim_header && header.value) return decode_claim(*header.value);
  }
  return std::nullopt;
}

}  // namespace troupe::replication
