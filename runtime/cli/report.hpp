#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/ids.hpp"
#include "runtime/cli/output.hpp"

namespace troupe::cli {

/// Something that is not as it should be: where, why, what follows from it and what to do.
struct Finding {
  std::string file;
  std::optional<std::uint64_t> position = {};
  std::optional<Offset> offset = {};
  std::string reason;
  std::string means;
  std::string action;
};

/// The findings and notes of one run, printed as they come, and what was looked at.
class Report {
 public:
  explicit Report(Output& out) : out_(out) {}

  void finding(const Finding& finding);
  /// Worth knowing, and no reason to act.
  void note(const std::string& file, const std::string& text);
  void summary();

  std::size_t findings() const { return findings_; }

  std::size_t partitions = 0;
  std::size_t segments = 0;
  std::size_t batches = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;

 private:
  Output& out_;
  std::size_t findings_ = 0;
};

}  // namespace troupe::cli
