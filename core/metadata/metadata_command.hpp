#pragma once

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
/// `repeatable`: may be asked again when nobody knows what became of it; the second time it changes nothing that the first did. Others
/// end with request_timed_out then.
namespace troupe::metadata {

/// Each attempt has a topic id of its own. One whose outcome is unknown is known again by the topic that it made.
struct CreateTopicCommand {
  static constexpr bool repeatable = true;

  CreateTopicRequest request = {};
  Requester requester = Requester::client;
  TopicId topic_id = {};                  ///< nil: the machine draws it
  std::vector<TopicId> earlier_ids = {};  ///< of attempts of open outcome
};
struct AlterTopicCommand {
  static constexpr bool repeatable = false;  // partitions that were added would be refused the second time

  AlterTopicRequest request = {};
  Requester requester = Requester::client;
};
struct DeleteTopicCommand {
  static constexpr bool repeatable = false;  // the name may be another topic's by then

  std::string name = {};
  Requester requester = Requester::client;
};
struct RegisterBrokerCommand {
  static constexpr bool repeatable = true;

  BrokerImage broker = {};
  Uuid incarnation = {};
  bool clean = false;              ///< as in RegisterBrokerRequest
  Uuid previous_incarnation = {};  ///< as there

  RegisterBrokerRequest request() const { return {broker, incarnation, clean, previous_incarnation}; }
};
/// Epochs in the requests see to it that the second time changes nothing.
struct ClusterCommand {
  static constexpr bool repeatable = true;

  ClusterRequest request = {};
};
/// The order is part of the wire: new ones go to the end.
using MetadataCommand =
    std::variant<CreateTopicCommand, AlterTopicCommand, DeleteTopicCommand, RegisterBrokerCommand, ClusterCommand>;

inline bool repeatable(const MetadataCommand& command) {
  return std::visit([](const auto& one) { return one.repeatable; }, command);
}

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
