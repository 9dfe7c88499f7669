#include <cstdint>
#include <string>

#include "base/assert.hpp"
#include "runtime/config/checks.hpp"
#include "runtime/config/toml_file.hpp"

/// Bytes as a configuration file: whatever is accepted lies in its range and is the same when it is written and read again; every
/// problem is one line that names the file.

using namespace troupe;
using namespace troupe::runtime;

namespace {

void check_entry(const TomlFile::Entry& entry) {
  TROUPE_ASSERT(check_value(*entry.setting, entry.value).has_value());
  const auto line = std::string(entry.setting->name) + " = " + to_toml(*entry.setting, entry.value);
  const auto again = parse_toml(line, "again");
  TROUPE_ASSERT(again.problems.empty() && again.entries.size() == 1);
  TROUPE_ASSERT(again.entries[0].setting == entry.setting && again.entries[0].value == entry.value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = parse_toml({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
  for (const auto& problem : file.problems) {
    TROUPE_ASSERT(problem.starts_with("fuzz.toml:") && is_plain_text(problem));
  }
  if (!file.problems.empty()) return 0;
  NodeConfig config;
  for (const auto& entry : file.entries) {
    check_entry(entry);
    entry.setting->set(config, entry.value);
    TROUPE_ASSERT(entry.setting->get(config) == entry.value);
  }
  (void)broken_relations(config);
  return 0;
}
