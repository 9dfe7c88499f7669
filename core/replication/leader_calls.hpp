#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "core/broker_api.hpp"
#include "core/replication/leader_replica.hpp"

/// What the gateways and tails of one node ask of partition leaders on another: values, and their bytes, version 1.
/// docs/formats/leader-calls.md has the layout.
namespace troupe::replication {

/// Batches of one gateway, appended together. Answered by a ProduceSlotAnswer.
struct ProduceSlotCall {
  std::vector<NewBatch> batches = {};
  Acks acks = Acks::quorum;
  std::optional<Millis> wait_ms_max = {};  ///< as ProduceTerms::deadline, from the arrival on
};
/// As FetchRequest, whose partition is the call's. Answered by a FetchResponse.
struct FetchCommittedCall {
  Offset from{0};
  std::uint32_t bytes_max = 0;
  Offset up_to = Offset::max();
  Millis wait_ms_max = 0;
};
/// Answered by an OffsetAnswer.
struct FindOffsetCall {
  OffsetSpec spec = {};
};
/// Answered by an Offset, the new log start.
struct DeleteRecordsCall {
  Offset before{0};
};
/// Of a fetch of the same sender. Not answered.
struct CancelFetchCall {};

struct LeaderCall {
  using Body = std::variant<ProduceSlotCall, FetchCommittedCall, FindOffsetCall, DeleteRecordsCall, CancelFetchCall>;

  TopicIdPartition partition = {};
  /// Of the leader that is meant: one of another epoch does not take the call.
  LeaderEpoch leader_epoch{0};
  /// The sender's, each once while it runs: a cancellation names the fetch by it.
  std::uint64_t number = 0;
  Body body = {};
};

/// One result a batch, in order.
struct ProduceSlotAnswer {
  std::vector<Result<PlacedRecords>> results = {};
};

inline constexpr std::uint8_t leader_call_version = 1;
/// More batches than this in one slot are no slot of ours.
inline constexpr std::size_t slot_batches_max = 10'000;

ByteBuffer encode_leader_call(const LeaderCall& call);
/// Batches share the memory of `bytes`; their headers were parsed and their checksums compared.
/// Errors: corrupt_message (another version, cut off, bytes left over, a number out of its range, a batch that is not what its checksum
/// says).
Result<LeaderCall> decode_leader_call(const Bytes& bytes);

/// Answers do not say what they answer: the caller knows.
ByteBuffer encode_leader_answer(const ProduceSlotAnswer& answer);
ByteBuffer encode_leader_answer(const FetchResponse& answer);
ByteBuffer encode_leader_answer(const OffsetAnswer& answer);
ByteBuffer encode_leader_answer(Offset answer);

/// Errors of all four: corrupt_message. Records share the memory of `bytes`, and are not looked into.
Result<ProduceSlotAnswer> decode_produce_answer(const Bytes& bytes);
Result<FetchResponse> decode_fetch_response(const Bytes& bytes);
Result<OffsetAnswer> decode_offset_answer(const Bytes& bytes);
Result<Offset> decode_delete_answer(const Bytes& bytes);

}  // namespace troupe::replication
