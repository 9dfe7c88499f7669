#pragma once

#include <string_view>
#include <unordered_map>

#include "base/prng.hpp"
#include "base/result.hpp"
#include "core/broker_api.hpp"
#include "core/replication/claim.hpp"

/// What is decided of a produce request before anything of it is sent to a leader: may each record go into its topic, into which
/// partition, and what a request with an idempotence key claims. Pure. Beside the pipeline that comes next, and not in core/metadata:
/// the header prefix and the claim are rules of replication, a topic's image is only looked at.
namespace troupe::replication {

/// What a record's batch needs besides its key, value and headers, at most.
inline constexpr std::size_t record_overhead_max = 256;

/// Whether `record` of `request` may go into `topic`.
/// Errors: topic_authorization_failed (a topic of the system's own, and the request is not), message_too_large (with what a batch
/// needs around it more than max.message.bytes), invalid_record (a header with a name of the system's own, no key for a compacted topic).
Status check_record(const ProduceRecord& record, const ProduceRequest& request, const metadata::TopicImage& topic);

/// Which partition a record goes into:
///
///   the one it names | by its key, as Kafka's clients do | by the id of the request's idempotence key | one for a while
///
/// "For a while": until a batch was sent there. So the records of a turn share a batch, and all partitions get the same in the long
/// run. An idempotence key's records stay together, and a retry finds them. Source: KIP-480; design section 5.
class PartitionChooser {
 public:
  /// `topic` has one partition or more.
  /// Errors: unknown_topic_or_partition (it names one that is not there).
  Result<PartitionId> choose(const ProduceRecord& record, const ProduceRequest& request, const metadata::TopicImage& topic,
                             Prng& random);
  /// A batch of the topic is on its way: what comes next may go elsewhere.
  void on_batch_sent(const TopicId& topic) { sticky_.erase(topic); }

 private:
  std::unordered_map<TopicId, PartitionId> sticky_;
};

/// What a request with an idempotence key claims: who asks, for what. `principal`: who was authenticated; empty without authentication.
/// The digest covers all that the client gave: keys, values, headers, times and partitions, in their order.
Claim make_claim(const ProduceRequest& request, std::string_view principal, TimestampMs now);

}  // namespace troupe::replication
