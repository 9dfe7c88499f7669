#include "tests/unit/record/heap_meter.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

#include <malloc.h>

// In a file of its own: where the compiler sees through these operators it takes them for mismatched.
namespace {

std::size_t live_bytes = 0;
std::size_t peak_bytes = 0;
std::size_t largest_bytes = 0;

}  // namespace

void* operator new(std::size_t size) {
  auto* pointer = std::malloc(std::max<std::size_t>(size, 1));
  if (pointer == nullptr) std::abort();
  live_bytes += malloc_usable_size(pointer);
  peak_bytes = std::max(peak_bytes, live_bytes);
  largest_bytes = std::max(largest_bytes, size);
  return pointer;
}

// AddressSanitizer's would not come here by itself, but its memory would come back to the delete below.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return operator new(size); }

void operator delete(void* pointer) noexcept {
  if (pointer != nullptr) live_bytes -= malloc_usable_size(pointer);
  std::free(pointer);
}

void operator delete(void* pointer, std::size_t) noexcept { operator delete(pointer); }

namespace troupe::record::test {

HeapMeter::HeapMeter() : live_before_(live_bytes) {
  peak_bytes = live_bytes;
  largest_bytes = 0;
}

std::size_t HeapMeter::peak() const { return peak_bytes - live_before_; }
std::size_t HeapMeter::largest() const { return largest_bytes; }

}  // namespace troupe::record::test
