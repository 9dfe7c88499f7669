#include "runtime/cli/table.hpp"

#include <algorithm>

#include "runtime/config/value_text.hpp"

namespace troupe::cli {
namespace {

/// Characters rather than bytes: what is not the start of one in UTF-8 takes no place.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xc0) != 0x80; }));
}

}  // namespace

std::string plain(std::string_view text) { return runtime::printable(text, text.size() + 1); }

Table::Table(std::vector<std::string> headings) {
  for (auto& heading : headings) {
    to_the_right_.push_back(heading.ends_with('>'));
    if (to_the_right_.back()) heading.pop_back();
  }
  rows_.push_back(std::move(headings));
}

void Table::add(std::vector<std::string> cells) {
  for (auto& cell : cells) cell = cell.empty() ? "-" : plain(cell);
  cells.resize(to_the_right_.size());
  rows_.push_back(std::move(cells));
}

void Table::print(Output& out) const {
  std::vector<std::size_t> widths(to_the_right_.size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - width(row[i]), ' ');
      if (i > 0) line += "  ";
      line += to_the_right_[i] ? padding + row[i] : row[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out.line(line);
  }
}

}  // namespace troupe::cli
