#pragma once

#include <string>

#include "http/stream/group_stream.hpp"

namespace troupe::http {

/// What a client is told of its membership, on every kind of stream.
struct GroupWords {
  std::string state = {};    ///< "assigned"; empty: nothing is told
  std::string members = {};  ///< of a JSON object: "generation":12,"partitions":{"Orders":[0,3]}
  std::string error = {};    ///< of "ended": a JSON object
};
GroupWords words_of(const GroupStream& stream, const ConsumerEvent& event);

}  // namespace troupe::http
