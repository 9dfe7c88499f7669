#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace troupe::runtime {

/// "process 4711 (troupe)": who listens on a TCP port of this machine, for a person. nullopt: nobody does, or the process is another
/// user's, whose descriptors are not ours to look at. Reads /proc.
std::optional<std::string> listener_of(std::uint16_t port);

}  // namespace troupe::runtime
