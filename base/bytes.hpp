#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// Bytes that somebody else owns. Valid as long as their owner says.
using ByteView = std::span<const std::byte>;
using MutableByteView = std::span<std::byte>;

/// An allocator that leaves new bytes as they are: a read buffer is written anyway, zeroing it first costs a pass.
template <class T>
struct UninitializedAllocator : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = UninitializedAllocator<U>;
  };
  template <class U>
  void construct(U* place) noexcept {
    ::new (static_cast<void*>(place)) U;
  }
  template <class U, class... Args>
  void construct(U* place, Args&&... args) {
    ::new (static_cast<void*>(place)) U(std::forward<Args>(args)...);
  }
};

/// A growable buffer that one owner fills. `resize` leaves the new bytes uninitialised.
using ByteBuffer = std::vector<std::byte, UninitializedAllocator<std::byte>>;

/// Immutable bytes, shared by reference count. Copies and slices share the memory, so a batch that is built once goes
/// to the log, to followers and to subscribers without a copy. Safe to share between threads.
class Bytes {
 public:
  Bytes() = default;

  /// Takes the buffer over without copying it.
  static Bytes adopt(ByteBuffer buffer);
  static Bytes copy_of(ByteView view);

  const std::byte* data() const noexcept { return data_.get(); }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  ByteView view() const noexcept { return {data_.get(), size_}; }
  operator ByteView() const noexcept { return view(); }

  /// The bytes [offset, offset + size), sharing memory. The range must lie inside.
  Bytes slice(std::size_t offset, std::size_t size) const;

 private:
  Bytes(std::shared_ptr<const std::byte> data, std::size_t size) : data_(std::move(data)), size_(size) {}

  std::shared_ptr<const std::byte> data_;
  std::size_t size_ = 0;
};

bool equal_bytes(ByteView a, ByteView b) noexcept;

inline ByteView as_bytes(std::string_view text) noexcept { return std::as_bytes(std::span{text.data(), text.size()}); }
inline std::string_view as_text(ByteView bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Gives `buffer` room for `capacity` bytes, with one memcpy: std::vector moves elements one by one when its allocator is not the
/// standard one.
void grow_capacity(ByteBuffer& buffer, std::size_t capacity);

/// Appends `view` to `buffer`.
void append_bytes(ByteBuffer& buffer, ByteView view);

/// Lower-case hexadecimal digits, two a byte.
std::string to_hex(ByteView bytes);

}  // namespace troupe
