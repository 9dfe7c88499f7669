#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Numbers, sizes, durations and addresses as people write them.
namespace troupe::runtime {

/// Decimal digits, perhaps after "-". nullopt: something else, or more than 64 bits hold.
std::optional<std::int64_t> parse_integer(std::string_view text);

/// Bytes: "0", "512B", "16KiB", "8MiB", "1GiB". Powers of ten ("8MB") are not accepted: half of their readers would mean the other.
std::optional<std::int64_t> parse_size(std::string_view text);
/// In the largest unit that leaves no rest.
std::string format_size(std::int64_t bytes);

/// Milliseconds: "500ms", "5s", "10m", "2h", "1d"; a number alone is milliseconds.
std::optional<std::int64_t> parse_duration(std::string_view text);
std::string format_duration(std::int64_t milliseconds);

/// "127.0.0.0/8", "::1", "localhost": reached from this machine alone. `host` as in Endpoint.
bool is_loopback(std::string_view host);

/// `text` so that it drives no terminal and stays on its line: control characters and what is no UTF-8 as escapes, a backslash before
/// what is in `escaped`, at most `bytes_max` of it.
std::string printable(std::string_view text, std::size_t bytes_max, std::string_view escaped = {});

/// The same in double quotes, as TOML and people read it.
std::string quote(std::string_view text, std::size_t bytes_max = 200);

/// Well-formed UTF-8 without control characters.
bool is_plain_text(std::string_view text);

}  // namespace troupe::runtime
