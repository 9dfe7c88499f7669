#pragma once

#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "core/broker_api.hpp"
#include "core/metadata/quorum_report.hpp"

/// What one node's operator_desk asks another's, and the answers, as bytes: docs/formats/operator-calls.md. Refusals travel as errors of
/// the link.
namespace troupe::operation {

/// -> QuorumReport, by the quorum's leader. Errors: as ClusterApi::ask_quorum; not_controller: it does not lead, nothing was done.
struct QuorumCall {
  quorum::QuorumRequest request = {};
  Millis timeout_ms = 0;  ///< what is left of the asker's time
};
/// -> its actors.
struct TreeCall {};

/// -> where the brokers are that the node knows: what a node that joins by one of them has to know to reach the controller.
struct BrokersCall {};

/// The order is part of the wire: new ones go to the end.
using OperatorCall = std::variant<QuorumCall, TreeCall, BrokersCall>;

ByteBuffer encode_call(const OperatorCall& call);
/// Errors: corrupt_message; a newer node's call, too.
Result<OperatorCall> decode_call(ByteView bytes);

ByteBuffer encode_report(const quorum::QuorumReport& report);
/// Errors: corrupt_message.
Result<quorum::QuorumReport> decode_report(ByteView bytes);

/// At most `actors_max`: the first ones.
ByteBuffer encode_tree(const std::vector<ActorInfo>& tree);
/// Errors: corrupt_message.
Result<std::vector<ActorInfo>> decode_tree(ByteView bytes);

/// Ids and the addresses of the cluster listeners, of those that have one.
ByteBuffer encode_brokers(const std::vector<metadata::BrokerImage>& brokers);
/// Errors: corrupt_message.
Result<std::vector<metadata::BrokerImage>> decode_brokers(ByteView bytes);

inline constexpr std::size_t actors_max = 100'000;

}  // namespace troupe::operation
