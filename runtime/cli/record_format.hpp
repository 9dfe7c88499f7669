#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace troupe::cli {

/// One record as a node shows it, taken apart. Key and value as their bytes.
struct ShownRecord {
  std::string partition = {};
  std::string offset = {};
  std::string timestamp = {};
  std::optional<std::string> key = {};
  std::optional<std::string> value = {};
  std::string headers = {};  ///< as JSON: an object, or an array of [name, base64]
};

/// Takes a record of a node's answer apart. The value is what was written, but for line breaks between the parts of JSON.
/// Errors: corrupt_message (no record).
Result<ShownRecord> parse_shown_record(std::string_view json);

/// How to print a record: "%k %v\n".
class RecordFormat {
 public:
  /// Errors: invalid_argument (a "%" or "\" that means nothing).
  static Result<RecordFormat> parse(std::string_view text);

  /// `for_terminal`: keys and values drive no terminal.
  std::string apply(const ShownRecord& record, const std::string& topic, bool for_terminal) const;

 private:
  struct Part {
    char verb = 0;  ///< 0: `text`
    std::string text = {};
  };
  std::vector<Part> parts_ = {};
};

}  // namespace troupe::cli
