#pragma once

#include <optional>

#include <caf/actor_addr.hpp>
#include <caf/actor_cast.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include "actors/messages.hpp"
#include "core/broker_api.hpp"
#include "core/processing/positions.hpp"

/// What the actors that run custom processors say to each other. Never leaves the node.
namespace troupe::actors {

/// To processor_positions. -> PositionAnswer, when the positions have been read
struct AskPosition {
  processing::PositionKey key;
  TopicId topic_id;
};
struct PositionAnswer {
  std::optional<Offset> position;
};
/// To processor_positions. -> Done, when a quorum has it. Errors: as BrokerApi::produce; ask again.
struct CommitPosition {
  processing::PositionKey key;
  processing::Position position;
};

/// To processor_manager, no answer: the processors or the topics may have changed.
struct LookForPartitions {};

/// The answer of a BrokerApi call as a message to the actor that made it: `wrap` makes the message of the Result. Answers come on other
/// threads, and the reply does not keep the actor alive.
template <class T, class Self, class Wrap>
Reply<T> answer_as(Self* self, Wrap wrap) {
  return Reply<T>{[address = caf::actor_addr{self->address()}, wrap](Result<T> answer) {
    if (const auto actor = caf::actor_cast<caf::actor>(address)) caf::anon_send(actor, wrap(std::move(answer)));
  }};
}

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::AskPosition)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::PositionAnswer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::CommitPosition)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LookForPartitions)
