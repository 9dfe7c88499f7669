#pragma once

#include <cstdint>

#include "base/bytes.hpp"

namespace troupe {

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `bytes`; of `previous`'s bytes followed by `bytes` when given.
/// `crc32c("123456789") == 0xe3069283`.
std::uint32_t crc32c(ByteView bytes, std::uint32_t previous = 0) noexcept;

}  // namespace troupe
