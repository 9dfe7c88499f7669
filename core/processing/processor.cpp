#include "core/processing/processor.hpp"

#include <algorithm>
#include <set>

namespace troupe::processing {
namespace {

constexpr std::size_t name_size_max = 100;
constexpr std::size_t topic_size_max = 249;
constexpr std::size_t in_flight_limit = 32;
constexpr int attempts_limit = 100;
constexpr std::int32_t partitions_limit = 10'000;

bool is_name(std::string_view name, std::size_t size_max) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name.size() <= size_max && name.find_first_not_of(allowed) == std::string_view::npos;
}

Error wrong(const ProcessorSpec& spec, const std::string& what) {
  return {Errc::invalid_argument, "processor \"" + spec.name + "\": " + what};
}

}  // namespace

Status check_spec(const ProcessorSpec& spec) {
  if (!is_name(spec.name, name_size_max)) return wrong(spec, "name: 1 to 100 letters, digits, '.', '_' or '-'");
  if (!spec.make) return wrong(spec, "make: a function is needed");
  if (spec.inputs.empty()) return wrong(spec, "inputs: at least one topic is needed");
  std::set<std::string> inputs;
  for (const auto& input : spec.inputs) {
    if (!is_name(input, topic_size_max)) return wrong(spec, "inputs: \"" + input + "\" is not a topic's name");
    if (!inputs.insert(input).second) return wrong(spec, "inputs: \"" + input + "\" is there twice");
  }
  for (const auto& output : spec.outputs) {
    if (!is_name(output.name, topic_size_max)) return wrong(spec, "outputs: \"" + output.name + "\" is not a topic's name");
    if (output.name.starts_with("__")) return wrong(spec, "outputs: \"" + output.name + "\" is the system's own");
    if (output.partitions < 1 || output.partitions > partitions_limit) {
      return wrong(spec,
                   "outputs: \"" + output.name + "\" has 1 to 10000 partitions, not " + std::to_string(output.partitions));
    }
  }
  if (spec.attempts_max < 1 || spec.attempts_max > attempts_limit) return wrong(spec, "attempts_max: 1 to 100");
  if (spec.in_flight_max < 1 || spec.in_flight_max > in_flight_limit) return wrong(spec, "in_flight_max: 1 to 32");
  return ok();
}

}  // namespace troupe::processing
