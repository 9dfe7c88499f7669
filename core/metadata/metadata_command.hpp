#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "core/metadata/cluster_requests.hpp"
#include "core/metadata/controller.hpp"

/// What the active controller is asked to change, by its own node or by another one, and what it answers. Bytes: command_codec.hpp.
///
/// A new command is a struct here, an entry in command_codec.cpp and a case in MetadataMachine's `decide`.
///
/// When nobody knows what became of an attempt the command is asked again, in a way that changes nothing which the first attempt did: each
/// says below how.
namespace troupe::metadata {

/// Each attempt has a topic id of its own. One whose outcome is unknown is known again by the topic that it made.
struct CreateTopicCommand {
  CreateTopicRequest request = {};
  Requester requester = Requester::client;
  TopicId topic_id = {};                  ///< nil: the machine draws it
  std::vector<TopicId> earlier_ids = {};  ///< of attempts of open outcome
};

/// A topic as the asking node saw it before its first attempt.
struct TopicSeen {
  TopicId id = {};
  std::int32_t partitions = 0;
  std::uint32_t config_crc = 0;  ///< CRC-32C of what was set

  friend bool operator==(const TopicSeen&, const TopicSeen&) = default;
};
TopicSeen seen(const TopicImage& topic);

/// Asked again it is done if the topic is as it was asked for, decided if the topic is as it was before, and of unknown outcome
/// otherwise: then others have changed it meanwhile.
struct AlterTopicCommand {
  AlterTopicRequest request = {};
  Requester requester = Requester::client;
  std::optional<TopicSeen> before = {};  ///< of a command that is asked again
};
/// Asked again it is done if there is no such topic, and of unknown outcome if the name is another topic's by then.
struct DeleteTopicCommand {
  std::string name = {};
  Requester requester = Requester::client;
  std::optional<TopicSeen> before = {};  ///< of a command that is asked again
};

/// A partition as the asking node saw it before its first attempt.
struct PartitionSeen {
  LeaderEpoch leader_epoch{0};
  PartitionEpoch partition_epoch{0};

  friend bool operator==(const PartitionSeen&, const PartitionSeen&) = default;
};
/// What an operator's request is about, as the asking node saw it before its first attempt.
struct ClusterSeen {
  Offset applied{0};                                          ///< its image had all below
  std::vector<std::optional<PartitionSeen>> partitions = {};  ///< of the request, in order; nullopt: not known there

  friend bool operator==(const ClusterSeen&, const ClusterSeen&) = default;
};
/// Requests of brokers carry epochs and incarnations that see to it that the second time changes nothing; those of operators what was
/// seen: repeated_requests.hpp.
struct ClusterCommand {
  ClusterRequest request = {};
  std::optional<ClusterSeen> before = {};  ///< of a command that is asked again
};
/// The order is part of the wire: new ones go to the end.
using MetadataCommand = std::variant<CreateTopicCommand, AlterTopicCommand, DeleteTopicCommand, ClusterCommand>;

/// Attempts at one command of which nobody knows what became. A command that has had more ends with request_timed_out.
inline constexpr std::size_t command_attempts_max = 64;

/// What a command that succeeded says besides "done": the topic that it was about, what became of the cluster, or nothing.
/// The order is part of the wire: new ones go to the end.
using CommandResult = std::variant<std::monostate, TopicId, ClusterAnswer>;

/// The change is committed, or was not needed; it is in every image that has applied all below `applied`.
struct CommandDone {
  Offset applied{0};
  CommandResult result = {};
};
/// The controller said no, as things are below `applied`.
struct CommandRefused {
  Offset applied{0};
  Error error = {Errc::unknown_error, {}};
};
/// Nothing came of it, and never will: that node is not the active controller.
struct NotController {
  BrokerId controller{-1};  ///< as far as it knows; -1: not at all
};
using CommandAnswer = std::variant<CommandDone, CommandRefused, NotController>;

}  // namespace troupe::metadata
