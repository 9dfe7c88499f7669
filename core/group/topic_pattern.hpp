#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace troupe::group {

/// A regular expression over whole names of topics, in RE2's syntax, as Kafka's server-side subscriptions have it (KIP-848). Time and
/// memory are linear, whatever somebody writes.
class TopicPattern {
 public:
  static constexpr std::size_t size_max = 1'024;

  /// Errors: invalid_regular_expression: what is wrong and at which character, from 1.
  static Result<TopicPattern> compile(std::string_view text);

  /// Topics of the system's own ("__...") match nothing.
  bool matches(std::string_view topic) const;
  const std::string& text() const { return text_; }

 private:
  struct Compiled;
  TopicPattern(std::string text, std::shared_ptr<const Compiled> compiled)
      : text_(std::move(text)), compiled_(std::move(compiled)) {}

  std::string text_;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace troupe::group
