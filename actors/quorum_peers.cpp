#include "actors/quorum_peers.hpp"

#include <utility>
#include <variant>

#include "core/metadata/quorum_storage.hpp"

namespace troupe::actors {

Result<quorum::Message> QuorumPeers::heard(const PeerMessage& message, const Uuid& cluster_id) {
  const auto from = "node " + to_string(message.from);
  auto decoded = quorum::decode_message(message.payload);
  if (!decoded)
    return Error{decoded.error().code, from + " sends what is no message of the quorum: " + decoded.error().message};
  if (decoded->from.id != message.from) {
    return Error{Errc::invalid_argument, from + " speaks as node " + to_string(decoded->from.id) + ": not heard"};
  }
  const auto& theirs = decoded->cluster_id;
  if (!cluster_id.is_nil() && !theirs.is_nil() && theirs != cluster_id) {
    return Error{Errc::inconsistent_cluster_id, from + " is of cluster " + to_string(theirs) +
                                                    ", this node's directory of cluster " + to_string(cluster_id) +
                                                    ": one of them was pointed at the wrong nodes"};
  }
  if (const auto* append = std::get_if<quorum::AppendRequest>(&decoded->body)) {
    for (const auto& entry : append->entries) {
      if (auto right = quorum::check_entry(entry); !right)
        return Error{right.error().code, from + ": " + right.error().message};
    }
  }
  return decoded;
}

void QuorumPeers::asked(std::uint64_t token, const PeerMessage& message) {
  open_.emplace(token, message).first->second.payload = {};
}

void QuorumPeers::answer(std::uint64_t token, Result<Bytes> answer) {
  const auto at = open_.find(token);
  if (at == open_.end()) return;
  links_->answer(at->second, std::move(answer));
  open_.erase(at);
}

void QuorumPeers::end(const Error& error) {
  for (const auto& [token, message] : std::exchange(open_, {})) links_->answer(message, error);
}

}  // namespace troupe::actors
