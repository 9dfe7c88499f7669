#include <cstdint>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "core/metadata/heartbeat_codec.hpp"
#include "core/operation/operator_calls.hpp"
#include "core/replication/leader_calls.hpp"

/// What another node asks of a partition's leader, what a leader answers, heartbeats, and what operators ask. What is read can be
/// written and read again.

using namespace troupe;
using namespace troupe::replication;

namespace {

Bytes adopted(ByteBuffer bytes) { return Bytes::adopt(std::move(bytes)); }

template <class Answer, class Decode>
void round_trip(const Bytes& bytes, Decode decode) {
  const auto answer = decode(bytes);
  if (!answer) return;
  const auto once = adopted(encode_leader_answer(*answer));
  const auto again = decode(once);
  TROUPE_ASSERT(again && as_text(adopted(encode_leader_answer(*again)).view()) == as_text(once.view()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = Bytes::copy_of(std::as_bytes(std::span{data, size}));
  if (const auto call = decode_leader_call(bytes)) {
    const auto once = adopted(encode_leader_call(*call));
    const auto again = decode_leader_call(once);
    TROUPE_ASSERT(again && again->body.index() == call->body.index());
    TROUPE_ASSERT(as_text(adopted(encode_leader_call(*again)).view()) == as_text(once.view()));
  } else {
    TROUPE_ASSERT(call.error().code == Errc::corrupt_message);
  }
  round_trip<ProduceSlotAnswer>(bytes, decode_produce_answer);
  round_trip<FetchResponse>(bytes, decode_fetch_response);
  round_trip<OffsetAnswer>(bytes, decode_offset_answer);
  round_trip<Offset>(bytes, decode_delete_answer);
  if (metadata::is_heartbeat(bytes.view())) {
    if (const auto heartbeat = metadata::decode_heartbeat(bytes.view())) {
      TROUPE_ASSERT(as_text(adopted(metadata::encode_heartbeat(*heartbeat)).view()) == as_text(bytes.view()));
    }
    if (const auto answer = metadata::decode_heartbeat_answer(bytes.view())) {
      TROUPE_ASSERT(as_text(adopted(metadata::encode_heartbeat_answer(*answer)).view()) == as_text(bytes.view()));
    }
  }
  if (const auto call = operation::decode_call(bytes.view())) {
    TROUPE_ASSERT(as_text(adopted(operation::encode_call(*call)).view()) == as_text(bytes.view()));
  }
  if (const auto report = operation::decode_report(bytes.view())) {
    TROUPE_ASSERT(as_text(adopted(operation::encode_report(*report)).view()) == as_text(bytes.view()));
  }
  if (const auto tree = operation::decode_tree(bytes.view())) {
    TROUPE_ASSERT(as_text(adopted(operation::encode_tree(*tree)).view()) == as_text(bytes.view()));
  }
  return 0;
}
