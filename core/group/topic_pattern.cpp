#include "core/group/topic_pattern.hpp"

#include <re2/re2.h>

namespace troupe::group {
namespace {

constexpr std::int64_t memory_max = std::int64_t{1} << 20;

re2::RE2::Options options() {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(memory_max);
  return options;
}

}  // namespace

struct TopicPattern::Compiled {
  explicit Compiled(std::string_view text) : expression(re2::StringPiece(text.data(), text.size()), options()) {}
  re2::RE2 expression;
};

Result<TopicPattern> TopicPattern::compile(std::string_view text) {
  if (text.size() > size_max) {
    return Error{Errc::invalid_regular_expression, "the pattern has " + std::to_string(text.size()) + " bytes, at most " +
                                                       std::to_string(size_max) + " are taken"};
  }
  auto compiled = std::make_shared<const Compiled>(text);
  if (!compiled->expression.ok()) {
    const auto& part = compiled->expression.error_arg();
    const auto at = text.find(part);
    const auto where =
        part.empty() || at == std::string_view::npos ? std::string{} : " at character " + std::to_string(at + 1);
    return Error{Errc::invalid_regular_expression,
                 "the pattern '" + std::string(text) + "' does not compile" + where + ": " + compiled->expression.error()};
  }
  return TopicPattern(std::string(text), std::move(compiled));
}

bool TopicPattern::matches(std::string_view topic) const {
  return !topic.starts_with("__") &&
         re2::RE2::FullMatch(re2::StringPiece(topic.data(), topic.size()), compiled_->expression);
}

}  // namespace troupe::group
