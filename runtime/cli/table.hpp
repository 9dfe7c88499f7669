#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/cli/output.hpp"

namespace troupe::cli {

/// Rows under upper-case headings, two spaces between columns, numbers to the right, nothing behind the last column.
class Table {
 public:
  /// A heading that ends in ">" stands for a column of numbers: "START>".
  explicit Table(std::vector<std::string> headings);

  /// As many cells as headings. An empty cell is shown as "-". Control characters are escaped.
  void add(std::vector<std::string> cells);
  void print(Output& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<bool> to_the_right_;
};

/// `text` on one line, without anything that drives a terminal.
std::string plain(std::string_view text);

}  // namespace troupe::cli
