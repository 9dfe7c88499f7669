#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "core/consumer_api.hpp"

/// What is asked of a consumer instance of the REST proxy, wherever it is, and the answers, as values and as bytes:
/// docs/formats/instance-calls.md. Refusals travel as errors of the link.
namespace troupe::consumer {

/// How records are shown. Part of the wire: never renumber.
enum class RestFormat : std::uint8_t { binary = 0, json = 1, text = 2 };

/// What an instance was made with. Source: rest-api.md B1.3.
struct RestOptions {
  std::string group = {};
  std::string name = {};
  RestFormat format = RestFormat::binary;
  OffsetReset reset = OffsetReset::latest;
  bool auto_commit = true;
  Millis request_ms_max = 1'000;     ///< that `records` waits at most
  std::int64_t fetch_bytes_min = 1;  ///< that `records` waits for; below 0: it waits its full time
  bool with_metadata = false;        ///< records with headers and timestamps

  friend bool operator==(const RestOptions&, const RestOptions&) = default;
};

using NamedPartition = std::pair<TopicIdPartition, std::string>;

/// What it reads: topics, or partitions of its own choice, or nothing.
struct RestReading {
  std::vector<std::string> topics = {};
  std::string pattern = {};
  std::vector<NamedPartition> partitions = {};

  friend bool operator==(const RestReading&, const RestReading&) = default;
};

/// All that another node has to know to go on with it. The group's coordinator keeps it.
struct RestDefinition {
  RestOptions options = {};
  RestReading reading = {};

  friend bool operator==(const RestDefinition&, const RestDefinition&) = default;
};

ByteBuffer encode_definition(const RestDefinition& definition);
/// Errors: corrupt_message; a newer node's, too.
Result<RestDefinition> decode_definition(ByteView bytes);

// --- calls --------------------------------------------------------------------------------------------------------------------------

/// No topics and no pattern: reads nothing.
struct RestSubscribe {
  std::vector<std::string> topics = {};
  std::string pattern = {};
};
struct RestAssign {
  std::vector<NamedPartition> partitions = {};
};
struct RestSubscription {};
struct RestAssignment {};
/// Answered as soon as there are records, or when it is hurried.
struct RestRead {
  std::uint64_t id = 0;  ///< of the asker's choice, for RestHurry
  std::uint64_t bytes_max = 0;
  bool hurry = false;  ///< now
};
/// That read is to be answered now.
struct RestHurry {
  std::uint64_t id = 0;
};
/// Without positions: all that was shown.
struct RestCommit {
  std::optional<std::vector<std::pair<TopicIdPartition, Offset>>> positions = {};
};
struct RestSeek {
  std::vector<std::pair<TopicIdPartition, SeekTarget>> targets = {};
};
/// Somebody uses it.
struct RestTouch {};
/// It is over.
struct RestRemove {};

/// The order is part of the wire: new ones go to the end.
using RestCall = std::variant<RestSubscribe, RestAssign, RestSubscription, RestAssignment, RestRead, RestHurry, RestCommit,
                              RestSeek, RestTouch, RestRemove>;

/// A call to an instance on another node.
struct RestRequest {
  std::string group = {};
  std::string name = {};
  std::int32_t epoch = 0;  ///< of the instance, as the asker knows it
  RestCall call = {};
};

/// The answer of `records`, as its client gets it.
struct RestPage {
  std::string text = {};
};
struct RestTopics {
  std::vector<std::string> topics = {};
};
struct RestPartitions {
  std::vector<std::pair<std::string, PartitionId>> partitions = {};
};

/// `std::monostate`: done. The order is part of the wire, too.
using RestAnswer = std::variant<std::monostate, RestTopics, RestPartitions, RestPage, std::vector<CommittedPosition>>;

ByteBuffer encode_request(const RestRequest& request);
/// Errors: corrupt_message; a newer node's call, too.
Result<RestRequest> decode_request(ByteView bytes);
ByteBuffer encode_answer(const RestAnswer& answer);
/// Errors: corrupt_message.
Result<RestAnswer> decode_answer(ByteView bytes);

}  // namespace troupe::consumer
