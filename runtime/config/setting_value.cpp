#include <algorithm>
#include <cctype>

#include "runtime/config/checks.hpp"
#include "runtime/config/schema.hpp"
#include "runtime/config/value_text.hpp"

namespace troupe::runtime {
namespace {

Error wrong(const Setting& setting, std::string_view got) {
  return {Errc::invalid_config, "got " + std::string(got) + ", expected " + expected(setting)};
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    auto part = text.substr(0, comma);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    parts.emplace_back(part);
    text.remove_prefix(std::min(text.size(), comma + 1));
  }
  return parts;
}

Status check_text(const Setting& setting, const std::string& text) {
  if (text.empty()) return wrong(setting, "nothing");
  if (!is_plain_text(text)) return wrong(setting, quote(text) + ", which is not UTF-8 or has control characters");
  return setting.check == nullptr ? ok() : setting.check(text);
}

std::optional<std::int64_t> parse_number(SettingKind kind, std::string_view text) {
  switch (kind) {
    case SettingKind::size: return parse_size(text);
    case SettingKind::duration: return parse_duration(text);
    default: return parse_integer(text);
  }
}

std::string format_number(SettingKind kind, std::int64_t number) {
  switch (kind) {
    case SettingKind::size: return format_size(number);
    case SettingKind::duration: return format_duration(number);
    default: return std::to_string(number);
  }
}

}  // namespace

Result<SettingValue> parse_value(const Setting& setting, std::string_view text) {
  std::optional<SettingValue> value;
  switch (setting.kind) {
    case SettingKind::boolean:
      if (text == "true" || text == "false") value = text == "true";
      break;
    case SettingKind::integer:
    case SettingKind::size:
    case SettingKind::duration:
      if (const auto number = parse_number(setting.kind, text)) value = *number;
      break;
    case SettingKind::text:
    case SettingKind::maybe_text: value = std::string(text); break;
    case SettingKind::text_list: value = split(text); break;
    case SettingKind::endpoint:
      if (auto endpoint = parse_endpoint(text)) value = std::move(*endpoint);
      break;
    case SettingKind::choice: {
      const auto found = std::find(setting.choices.begin(), setting.choices.end(), text);
      if (found != setting.choices.end()) value = std::int64_t{found - setting.choices.begin()};
      break;
    }
  }
  if (!value) return wrong(setting, quote(text));
  TROUPE_TRY(check_value(setting, *value));
  return std::move(*value);
}

Status check_value(const Setting& setting, const SettingValue& value) {
  switch (setting.kind) {
    case SettingKind::integer:
    case SettingKind::size:
    case SettingKind::duration: {
      const auto number = std::get<std::int64_t>(value);
      return number >= setting.min && number <= setting.max ? ok() : wrong(setting, std::to_string(number));
    }
    case SettingKind::text: return check_text(setting, std::get<std::string>(value));
    case SettingKind::maybe_text: {
      const auto& text = std::get<std::string>(value);
      return text.empty() ? ok() : check_text(setting, text);
    }
    case SettingKind::text_list:
      for (const auto& text : std::get<std::vector<std::string>>(value)) TROUPE_TRY(check_text(setting, text));
      return ok();
    case SettingKind::boolean:
    case SettingKind::endpoint:
    case SettingKind::choice: return ok();
  }
  return ok();
}

std::string expected(const Setting& setting) {
  const auto range = " from " + format_number(setting.kind, setting.min) + " to " + format_number(setting.kind, setting.max);
  switch (setting.kind) {
    case SettingKind::boolean: return "true or false";
    case SettingKind::integer: return "an integer" + range;
    case SettingKind::size: return "a size" + range + ", as a number of bytes or with KiB, MiB or GiB";
    case SettingKind::duration: return "a duration" + range + ", as a number of ms or with ms, s, m, h or d";
    case SettingKind::text: return "text";
    case SettingKind::maybe_text: return "text, or nothing";
    case SettingKind::text_list: return "a list of strings";
    case SettingKind::endpoint:
      return "ADDRESS:PORT, such as \"127.0.0.1:8080\", \"[::1]:8080\" or \"0.0.0.0:8080\" for all addresses";
    case SettingKind::choice: break;
  }
  std::string words;
  for (const auto& choice : setting.choices) {
    if (!words.empty()) words += choice == setting.choices.back() ? " or " : ", ";
    words += quote(choice);
  }
  return words;
}

std::string to_text(const Setting& setting, const SettingValue& value) {
  switch (setting.kind) {
    case SettingKind::boolean: return std::get<bool>(value) ? "true" : "false";
    case SettingKind::integer:
    case SettingKind::size:
    case SettingKind::duration: return format_number(setting.kind, std::get<std::int64_t>(value));
    case SettingKind::text:
    case SettingKind::maybe_text: return std::get<std::string>(value);
    case SettingKind::endpoint: return format_endpoint(std::get<Endpoint>(value));
    case SettingKind::choice: return std::string(setting.choices[static_cast<std::size_t>(std::get<std::int64_t>(value))]);
    case SettingKind::text_list: break;
  }
  std::string out;
  for (const auto& text : std::get<std::vector<std::string>>(value)) out += (out.empty() ? "" : ",") + text;
  return out;
}

std::string to_toml(const Setting& setting, const SettingValue& value) {
  const auto in_quotes = [](const std::string& text) { return quote(text, text.size() + 1); };
  switch (setting.kind) {
    case SettingKind::boolean:
    case SettingKind::integer: return to_text(setting, value);
    case SettingKind::text_list: {
      std::string out;
      for (const auto& text : std::get<std::vector<std::string>>(value)) out += (out.empty() ? "" : ", ") + in_quotes(text);
      return "[" + out + "]";
    }
    case SettingKind::size:
      // Plain bytes read better as a number.
      if (const auto bytes = std::get<std::int64_t>(value); bytes < 1024) return std::to_string(bytes);
      return in_quotes(to_text(setting, value));
    default: return in_quotes(to_text(setting, value));
  }
}

std::string environment_name(const Setting& setting) {
  std::string name = "TROUPE_";
  for (const char letter : setting.name) {
    name += letter == '.' ? "__" : std::string(1, static_cast<char>(std::toupper(static_cast<unsigned char>(letter))));
  }
  return name;
}

}  // namespace troupe::runtime
