#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "core/ids.hpp"
#include "core/record/record_batch.hpp"

namespace troupe::replication {

/// Headers whose name begins so are the system's: clients can neither set nor see them.
inline constexpr std::string_view internal_header_prefix = "__troupe";

/// Who a client says it is: hash(principal, client id), 128 bits of SHA-256.
using ClientHash = std::array<std::uint8_t, 16>;

/// A client's promise that it asks for the same thing when it asks again: its id, a sequence number and a digest of what it sent. Travels
/// in a header of the first record of the request's batch, so that what was claimed is a function of the log.
struct Claim {
  ClientHash client = {};
  std::uint64_t sequence = 0;
  std::uint64_t digest = 0;
  TimestampMs claimed_at = no_timestamp;  ///< by the gateway's clock: a record's own time is the client's to choose

  friend bool operator==(const Claim&, const Claim&) = default;
};

inline constexpr std::string_view claim_header = "__troupe.claim";
inline constexpr std::size_t claim_bytes = 41;

/// version 1, client, sequence, digest, time.
std::array<std::byte, claim_bytes> encode_claim(const Claim& claim) noexcept;
/// nullopt: not a claim of a version that we know.
std::optional<Claim> decode_claim(ByteView bytes) noexcept;

/// The claim of a batch, which its first record carries; nullopt when it has none. `batch` is a validated batch.
std::optional<Claim> claim_of(const record::RecordBatchView& batch);

}  // namespace troupe::replication
