#include "core/link/proof.hpp"

#include <charconv>
#include <cstdint>

namespace troupe::link {
namespace {

constexpr std::string_view prefix = "broker-";

}  // namespace

std::optional<std::string> object_to(const Proof& proof, BrokerId said) {
  if (!proof.needed || (proof.broker == said && said != no_broker)) return std::nullopt;
  if (proof.broker == no_broker) return "nothing proves that it is broker " + to_string(said);
  return "its certificate is of " + certificate_name(proof.broker) + ", and it says that it is broker " + to_string(said);
}

BrokerId broker_named(std::string_view dns_name) noexcept {
  if (!dns_name.starts_with(prefix)) return no_broker;
  const auto digits = dns_name.substr(prefix.size());
  if (digits.empty() || digits.front() == '-' || (digits.front() == '0' && digits.size() > 1)) return no_broker;
  std::int32_t id = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  if (failed != std::errc{} || end != digits.data() + digits.size()) return no_broker;
  return BrokerId{id};
}

std::string certificate_name(BrokerId broker) { return std::string(prefix) + to_string(broker); }

}  // namespace troupe::link
