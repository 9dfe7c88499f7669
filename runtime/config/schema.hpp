#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "runtime/config/node_config.hpp"

/// The one table of settings. Reading files, environment and flags, the default file and the documentation are derived from it.
namespace troupe::runtime {

enum class SettingKind : std::uint8_t {
  boolean,
  integer,
  size,        ///< bytes: "64MiB", or a number of bytes
  duration,    ///< milliseconds: "5s", or a number of milliseconds
  text,        ///< one string, not empty
  maybe_text,  ///< one string; empty: not set
  text_list,   ///< "a,b" where there are no arrays
  endpoint,    ///< HOST:PORT
  choice,      ///< one of a few words
};

/// HOST:PORT. An IPv6 address stands without its brackets here.
struct Endpoint {
  std::string host = {};
  std::uint16_t port = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// boolean: bool; integer, size, duration: int64; text, maybe_text: string; text_list: vector; endpoint: Endpoint; choice: int64, the
/// index of the word.
using SettingValue = std::variant<bool, std::int64_t, std::string, std::vector<std::string>, Endpoint>;

struct Setting {
  std::string_view name = {};  ///< "gateway.listen"
  SettingKind kind = SettingKind::text;
  std::int64_t min = 0;  ///< of integer, size, duration
  std::int64_t max = 0;
  std::span<const std::string_view> choices = {};
  std::string_view description = {};  ///< one sentence
  std::string_view flag = {};         ///< of `troupe serve`: "--http"; empty: only --set
  SettingValue (*get)(const NodeConfig&) = nullptr;
  void (*set)(NodeConfig&, const SettingValue&) = nullptr;
  /// What range and kind cannot say; of a list, called for each string. nullptr: nothing.
  Status (*check)(std::string_view) = nullptr;

  std::string_view section() const { return name.substr(0, name.find('.')); }
  std::string_view key() const { return name.substr(name.find('.') + 1); }
};

/// All settings: sections in the order of a reader's interest, keys of a section together.
std::span<const Setting> settings();
/// What a section is about, one line for the default file. Empty for a section that is none.
std::string_view section_description(std::string_view section);
/// nullptr: no such setting.
const Setting* find_setting(std::string_view name);
/// `unknown setting "htpp.port"; did you mean "http.port"?`
std::string unknown_setting(std::string_view name);

/// Reads the text form: environment, flags, `--set`.
/// Errors: invalid_config: `got "5x", expected a duration ...`, without the name of the setting.
Result<SettingValue> parse_value(const Setting& setting, std::string_view text);
/// Holds a value of the right type against range and check. Errors: as parse_value.
Status check_value(const Setting& setting, const SettingValue& value);
/// What may be written for it: "an integer from 1 to 64".
std::string expected(const Setting& setting);
/// As parse_value takes it: "64MiB", "5s", "a,b".
std::string to_text(const Setting& setting, const SettingValue& value);
/// As a TOML file has it: strings in quotes, arrays.
std::string to_toml(const Setting& setting, const SettingValue& value);
/// "TROUPE_GATEWAY__LISTEN"
std::string environment_name(const Setting& setting);

}  // namespace troupe::runtime
