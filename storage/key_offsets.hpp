#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "core/ids.hpp"

namespace troupe::storage {

/// The offset at which each key was last met, in bounded memory: 24 bytes a key, in a table that is at most three quarters full.
/// A key is known by 16 bytes of its SHA-256: two that meet would cost a record, and nobody can make two that do.
class KeyOffsets {
 public:
  /// Takes at most `bytes_max`, or 24 KiB; half as much again while it grows.
  explicit KeyOffsets(std::size_t bytes_max);

  /// Notes that `key` was met at `offset`, which is above what was noted for it before.
  /// False: there is no room for another key; nothing was noted.
  bool put(ByteView key, Offset offset);
  /// nullopt: the key was not noted.
  std::optional<Offset> find(ByteView key) const;

  std::size_t size() const { return size_; }
  std::size_t bytes() const { return slots_.size() * sizeof(Slot); }

 private:
  using Name = std::array<std::uint64_t, 2>;
  struct Slot {
    Name name{};
    Offset offset = no_offset;  ///< no_offset: free
  };

  static Name name_of(ByteView key);
  Slot& slot_of(const Name& name);
  const Slot& slot_of(const Name& name) const;
  bool grow();

  std::size_t slots_max_;
  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

}  // namespace troupe::storage
