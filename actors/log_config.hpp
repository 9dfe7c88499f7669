#pragma once

#include "core/metadata/topic_config.hpp"
#include "storage/log_config.hpp"

namespace troupe::actors {

/// A topic's settings as its partitions' logs take them.
storage::LogConfig log_config_of(const metadata::TopicConfig& config);

}  // namespace troupe::actors
