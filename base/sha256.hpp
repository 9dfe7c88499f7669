#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/bytes.hpp"

namespace troupe {

/// SHA-256 of what was added, over OpenSSL. For names that clients choose: two of them cannot be made to meet.
class Sha256 {
 public:
  using Digest = std::array<std::uint8_t, 32>;

  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(ByteView bytes);
  /// With its length before it, so that ("a", "bc") and ("ab", "c") differ.
  void add_sized(ByteView bytes);
  /// The end: nothing is added afterwards.
  Digest finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace troupe
