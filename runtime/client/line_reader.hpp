#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"

namespace troupe::client {

/// Lines of a file, a pipe or a terminal, as they come.
class LineReader {
 public:
  /// Does not own `descriptor`.
  LineReader(int descriptor, std::size_t line_bytes_max) : descriptor_(descriptor), line_bytes_max_(line_bytes_max) {}

  /// The next line without its end; waits for it. What stands behind the last line end is a line, too, unless it is empty.
  /// nullopt: no more. Errors: storage_error (read failed), message_too_large (a line above the bound).
  Result<std::optional<std::string>> next();
  /// Whether `next` would answer at once. Reads what is there.
  bool is_ready();

 private:
  /// Reads some bytes; waits for them. False: there are no more. Errors: storage_error.
  Result<bool> read_some();

  const int descriptor_;
  const std::size_t line_bytes_max_;
  std::string buffer_ = {};
  std::size_t begin_ = 0;    ///< of the line that comes next
  std::size_t scanned_ = 0;  ///< no line end between `begin_` and here
  bool ended_ = false;
};

}  // namespace troupe::client
