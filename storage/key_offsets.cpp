#include "storage/key_offsets.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/sha256.hpp"

namespace troupe::storage {
namespace {

constexpr std::size_t slots_first = 1024;

}  // namespace

KeyOffsets::KeyOffsets(std::size_t bytes_max)
    : slots_max_(std::max(slots_first, std::bit_floor(bytes_max / sizeof(Slot)))), slots_(slots_first) {}

KeyOffsets::Name KeyOffsets::name_of(ByteView key) {
  Sha256 hash;
  hash.add(key);
  const auto digest = hash.finish();
  Name name;
  std::memcpy(name.data(), digest.data(), sizeof name);
  return name;
}

const KeyOffsets::Slot& KeyOffsets::slot_of(const Name& name) const {
  const auto mask = slots_.size() - 1;
  auto at = static_cast<std::size_t>(name[0]) & mask;
  while (slots_[at].offset != no_offset && slots_[at].name != name) at = (at + 1) & mask;
  return slots_[at];
}

KeyOffsets::Slot& KeyOffsets::slot_of(const Name& name) {
  return const_cast<Slot&>(static_cast<const KeyOffsets&>(*this).slot_of(name));
}

bool KeyOffsets::put(ByteView key, Offset offset) {
  const auto name = name_of(key);
  auto* slot = &slot_of(name);
  if (slot->offset == no_offset) {
    if ((size_ + 1) * 4 > slots_.size() * 3) {
      if (!grow()) return false;
      slot = &slot_of(name);
    }
    ++size_;
    slot->name = name;
  }
  slot->offset = offset;
  return true;
}

bool KeyOffsets::grow() {
  if (slots_.size() * 2 > slots_max_) return false;
  std::vector<Slot> before(slots_.size() * 2);
  before.swap(slots_);
  for (const auto& slot : before) {
    if (slot.offset != no_offset) slot_of(slot.name) = slot;
  }
  return true;
}

std::optional<Offset> KeyOffsets::find(ByteView key) const {
  const auto& slot = slot_of(name_of(key));
  if (slot.offset == no_offset) return std::nullopt;
  return slot.offset;
}

}  // namespace troupe::storage
