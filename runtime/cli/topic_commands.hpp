#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/cli/node_session.hpp"

namespace troupe::cli {

struct TopicOptions {
  NodeOptions node = {};
  std::vector<std::string> names = {};
  std::optional<std::int32_t> partitions = {};
  std::optional<std::int32_t> replicas = {};
  std::vector<std::string> config = {};  ///< "retention.ms=60000"
  std::vector<std::string> unset = {};   ///< "retention.ms"
  bool validate_only = false;
  bool if_not_exists = false;
  bool internal = false;
  bool names_only = false;
  bool yes = false;
};

/// Each returns the exit code. With several names one row is printed for each, and 1 is returned if any failed.
int create_topics(const TopicOptions& options);
int list_topics(const TopicOptions& options);
int describe_topics(const TopicOptions& options);
int alter_topics(const TopicOptions& options);
int delete_topics(const TopicOptions& options);

}  // namespace troupe::cli
