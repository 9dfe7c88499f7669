#pragma once

#include <string>

/// What people read about the settings, made from the table.
namespace troupe::runtime {

/// A whole file with every setting at its default, each explained: configs/single.toml.
std::string default_toml();

/// docs/configuration.md
std::string configuration_page();

}  // namespace troupe::runtime
