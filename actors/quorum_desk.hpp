#pragma once

#include <unordered_map>

#include <caf/response_promise.hpp>
#include <caf/typed_response_promise.hpp>

#include "actors/metadata_messages.hpp"
#include "core/metadata/quorum_node.hpp"

namespace troupe::actors {

/// What operators have asked of the quorum's replica on this node, until it is answered. A part of metadata_quorum.
class QuorumDesk {
 public:
  using Promise = caf::typed_response_promise<QuorumAnswered>;

  /// `node`: null while the disk is away. Answers at once, or when `answered` is told.
  quorum::QuorumEffects ask(quorum::QuorumNode* node, const quorum::QuorumRequest& request, Promise promise,
                            MonotonicMs now);
  /// False: that is no token of this desk.
  bool answered(const quorum::AnswerQuorum& answer, const quorum::QuorumNode& node, MonotonicMs now);
  /// The replica is gone: what became of what was asked nobody knows.
  void lost();

 private:
  quorum::QuorumEffects begin(quorum::QuorumNode& node, std::uint64_t token, const quorum::QuorumRequest& request,
                              MonotonicMs now);

  std::uint64_t last_token_ = std::uint64_t{1} << 63;  ///< apart from those of MetadataMachine's proposals
  std::unordered_map<std::uint64_t, Promise> open_;
};

}  // namespace troupe::actors
