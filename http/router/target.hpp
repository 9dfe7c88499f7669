#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message/http_error.hpp"

namespace troupe::http {

/// The path of a target, decoded once.
struct Target {
  struct Segment {
    std::string text;
    bool reserved = false;  ///< holds '/', '\' or NUL, which came encoded: no name
  };
  std::vector<Segment> segments = {};
  std::string_view path = {};   ///< as it came
  std::string_view query = {};  ///< as it came, without '?'
};

/// Splits and decodes `target`, which begins with '/'. A slash at the end is overlooked. 404 for "." and ".." and empty segments, in
/// whatever disguise; 400 for bad percent-encoding and what is not UTF-8.
std::optional<HttpError> parse_target(std::string_view target, Target& out);

/// name=value pairs, decoded; '+' is a space. A name may stand there more than once.
class Query {
 public:
  static std::optional<HttpError> parse(std::string_view text, Query& out);

  /// 400 for a name that stands there twice: who wants one value would overlook the other.
  std::optional<HttpError> check_unique() const;
  /// The first value of `name`; nullopt when it is not there.
  std::optional<std::string_view> find(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return pairs_; }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

}  // namespace troupe::http
