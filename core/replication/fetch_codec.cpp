#include "core/replication/fetch_codec.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/assert.hpp"
#include "core/replication/wire_fields.hpp"

namespace troupe::replication {
namespace {

// Part of the wire between nodes: never renumber.
constexpr std::uint8_t kind_request = 1;
constexpr std::uint8_t kind_answer = 2;
constexpr std::uint8_t flag_again = 1;
constexpr std::uint8_t flag_diverging = 1;

constexpr std::size_t id_bytes = 20;
constexpr std::size_t request_partition_bytes = id_bytes + 41;
constexpr std::size_t answer_partition_bytes_min = id_bytes + 46;

Error corrupt(const std::string& what) { return Error{Errc::corrupt_message, "replica fetch: " + what}; }

FetchRequest::Partition read_request_partition(WireFields& in) {
  FetchRequest::Partition one;
  one.id = in.id();
  one.again = in.flags(flag_again) != 0;
  auto& position = one.position;
  position.leader_epoch = in.number<LeaderEpoch>(0);
  position.fetch_offset = in.number<Offset>(0);
  position.last_fetched_epoch = in.number<LeaderEpoch>(-1);
  position.durable_offset = in.number<Offset>(0);
  position.log_start = in.number<Offset>(0);
  position.high_watermark = in.number<Offset>(0);
  if (position.durable_offset > position.fetch_offset || position.log_start > position.fetch_offset ||
      position.high_watermark > position.fetch_offset) {
    in.refuse();
  }
  return one;
}

FetchAnswer::Partition read_answer_partition(WireFields& in, const Bytes& all) {
  FetchAnswer::Partition one;
  one.id = in.id();
  auto& answer = one.answer;
  answer.error = in.error();
  const auto flags = in.flags(flag_diverging);
  answer.leader_epoch = in.number<LeaderEpoch>(0);
  answer.fetch_offset = in.number<Offset>(0);
  answer.last_fetched_epoch = in.number<LeaderEpoch>(-1);
  answer.high_watermark = in.number<Offset>(0);
  answer.log_start = in.number<Offset>(0);
  answer.log_end = in.number<Offset>(0);
  if ((flags & flag_diverging) != 0) {
    answer.diverging = DivergingEpoch{in.number<LeaderEpoch>(0), in.number<Offset>(0)};
  }
  const std::size_t size = in.integer<std::uint32_t>();
  if (size > in.remaining()) in.refuse();
  if (!in.good()) return one;
  answer.records = all.slice(in.at(all), size);
  in.skip(size);
  return one;
}

Status check_head(WireFields& in, std::uint8_t kind) {
  const auto version = in.integer<std::uint8_t>();
  if (version != fetch_version)
    return corrupt("version " + std::to_string(version) + ", wanted " + std::to_string(fetch_version));
  if (const auto found = in.integer<std::uint8_t>(); found != kind)
    return corrupt("kind " + std::to_string(found) + ", wanted " + std::to_string(kind));
  return ok();
}

}  // namespace

ByteBuffer encode_fetch_request(const FetchRequest& request) {
  ByteBuffer bytes;
  grow_capacity(bytes, 64 + request.partitions.size() * request_partition_bytes + request.forgotten.size() * id_bytes);
  ByteWriter out(bytes);
  out.integer(fetch_version);
  out.integer(kind_request);
  out.integer(request.replica.value());
  out.integer(request.broker_epoch.value());
  out.integer(request.session_id.value());
  out.integer(request.session_epoch);
  out.integer(request.number);
  out.integer(request.wait_ms_max);
  out.integer(request.bytes_max);
  out.integer(static_cast<std::uint32_t>(request.forgotten.size()));
  for (const auto& id : request.forgotten) write_id(out, id);
  out.integer(static_cast<std::uint32_t>(request.partitions.size()));
  for (const auto& one : request.partitions) {
    write_id(out, one.id);
    out.integer(one.again ? flag_again : std::uint8_t{0});
    out.integer(one.position.leader_epoch.value());
    out.integer(one.position.fetch_offset.value());
    out.integer(one.position.last_fetched_epoch.value());
    out.integer(one.position.durable_offset.value());
    out.integer(one.position.log_start.value());
    out.integer(one.position.high_watermark.value());
  }
  return bytes;
}

Result<FetchRequest> decode_fetch_request(ByteView bytes) {
  WireFields in(bytes);
  TROUPE_TRY(check_head(in, kind_request));
  FetchRequest request;
  request.replica = in.number<BrokerId>(0);
  request.broker_epoch = in.number<BrokerEpoch>(0);
  request.session_id = in.number<FetchSessionId>(0);
  request.session_epoch = in.integer<std::int32_t>();
  request.number = in.integer<std::int64_t>();
  request.wait_ms_max = in.integer<std::int32_t>();
  request.bytes_max = in.integer<std::int32_t>();
  if (request.session_epoch < 0 || request.wait_ms_max < 0 || request.bytes_max < 0) in.refuse();
  if ((request.session_id == no_fetch_session) != (request.session_epoch == 0)) in.refuse();
  const auto forgotten = in.count(fetch_partitions_max, id_bytes);
  request.forgotten.reserve(forgotten);
  for (std::size_t i = 0; i < forgotten; ++i) request.forgotten.push_back(in.id());
  const auto partitions = in.count(fetch_partitions_max, request_partition_bytes);
  request.partitions.reserve(partitions);
  for (std::size_t i = 0; i < partitions && in.good(); ++i) request.partitions.push_back(read_request_partition(in));
  if (!in.finished()) return corrupt("a request of " + std::to_string(bytes.size()) + " bytes is malformed");
  return request;
}

ByteBuffer encode_fetch_answer(const FetchAnswer& answer) {
  std::size_t records = 0;
  for (const auto& one : answer.partitions) records += one.answer.records.size();
  ByteBuffer bytes;
  grow_capacity(bytes, 32 + answer.partitions.size() * (answer_partition_bytes_min + 12) + records);
  ByteWriter out(bytes);
  out.integer(fetch_version);
  out.integer(kind_answer);
  out.integer(answer.session_id.value());
  out.integer(answer.number);
  out.integer(static_cast<std::uint8_t>(answer.error ? static_cast<std::uint8_t>(*answer.error) : 0));
  out.integer(static_cast<std::uint32_t>(answer.partitions.size()));
  for (const auto& [id, one] : answer.partitions) {
    write_id(out, id);
    out.integer(static_cast<std::uint8_t>(one.error ? static_cast<std::uint8_t>(*one.error) : 0));
    out.integer(one.diverging ? flag_diverging : std::uint8_t{0});
    out.integer(one.leader_epoch.value());
    out.integer(one.fetch_offset.value());
    out.integer(one.last_fetched_epoch.value());
    out.integer(one.high_watermark.value());
    out.integer(one.log_start.value());
    out.integer(one.log_end.value());
    if (one.diverging) {
      out.integer(one.diverging->epoch.value());
      out.integer(one.diverging->end_offset.value());
    }
    TROUPE_ASSERT(one.records.size() <= UINT32_MAX);
    out.integer(static_cast<std::uint32_t>(one.records.size()));
    out.bytes(one.records);
  }
  return bytes;
}

Result<FetchAnswer> decode_fetch_answer(const Bytes& bytes) {
  WireFields in(bytes);
  TROUPE_TRY(check_head(in, kind_answer));
  FetchAnswer answer;
  answer.session_id = in.number<FetchSessionId>(0);
  answer.number = in.integer<std::int64_t>();
  answer.error = in.error();
  const auto partitions = in.count(fetch_partitions_max, answer_partition_bytes_min);
  answer.partitions.reserve(partitions);
  for (std::size_t i = 0; i < partitions && in.good(); ++i) answer.partitions.push_back(read_answer_partition(in, bytes));
  if (!in.finished()) return corrupt("an answer of " + std::to_string(bytes.size()) + " bytes is malformed");
  return answer;
}

}  // namespace troupe::replication
