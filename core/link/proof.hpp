#pragma once

#include <optional>
#include <string>

#include "core/ids.hpp"

namespace troupe::link {

/// Whom the other end of a connection has proven to be before a word was said: the name in the certificate of its TLS session.
struct Proof {
  bool needed = false;          ///< this node takes nobody's word: it has TLS
  BrokerId broker = no_broker;  ///< no_broker: nothing was proven, or the connection is gone

  friend bool operator==(const Proof&, const Proof&) = default;
};

/// What is wrong with saying to be `said` over a connection with that proof; nullopt: nothing.
std::optional<std::string> object_to(const Proof& proof, BrokerId said);

/// The broker that a name in a certificate is of: "broker-7", decimal without leading zeros. no_broker: of none.
BrokerId broker_named(std::string_view dns_name) noexcept;
/// "broker-7"
std::string certificate_name(BrokerId broker);

}  // namespace troupe::link
