#pragma once

#include <cstddef>

namespace troupe::record::test {

/// What the program's C++ code has allocated since the meter was made. One at a time, one thread; the codecs' own malloc
/// calls are not counted.
class HeapMeter {
 public:
  HeapMeter();

  /// The most bytes at one time beyond those that were there before.
  std::size_t peak() const;
  /// The largest single allocation, in bytes.
  std::size_t largest() const;

 private:
  std::size_t live_before_;
};

}  // namespace troupe::record::test
