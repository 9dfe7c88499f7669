#pragma once

#include <filesystem>
#include <string>

#include "base/bytes.hpp"

namespace troupe::fuzz {

/// Writes one seed; creates the folder.
bool write_seed(const std::filesystem::path& folder, const std::string& name, ByteView bytes);

/// Seeds of the targets that read what storage/ writes.
bool write_storage_seeds(const std::filesystem::path& corpus);

/// Seeds of what nodes say to each other over their links.
bool write_link_seeds(const std::filesystem::path& corpus);
/// Seeds of what is said to coordinators of groups, and of their records.
bool write_group_seeds(const std::filesystem::path& corpus);
/// Seeds of the targets that read what nodes tell each other about the metadata.
bool write_metadata_seeds(const std::filesystem::path& corpus);

}  // namespace troupe::fuzz
