#include "core/replication/leader_calls.hpp"

#include <algorithm>
#include <string>

#include "core/replication/wire_fields.hpp"

namespace troupe::replication {
namespace {

// Part of the wire between nodes: never renumber.
enum class Kind : std::uint8_t {
  produce = 1,
  fetch = 2,
  find_offset = 3,
  delete_records = 4,
  cancel_fetch = 5,
  produce_answer = 129,
  fetch_answer = 130,
  offset_answer = 131,
  delete_answer = 132,
};
constexpr std::uint8_t flag_claim = 1;
constexpr Millis no_wait_limit = -1;
constexpr std::uint8_t flag_duplicate = 1;
constexpr std::size_t sentence_bytes_max = 1024;
constexpr std::size_t batch_bytes_min = 5 + record::batch_header_bytes;

Error corrupt(const std::string& what) { return Error{Errc::corrupt_message, "leader call: " + what}; }

template <class Number>
std::uint8_t byte_of(Number value) {
  return static_cast<std::uint8_t>(value);
}

ByteBuffer begin_message(ByteBuffer bytes, Kind kind) {
  ByteWriter out(bytes);
  out.integer(leader_call_version);
  out.integer(byte_of(kind));
  return bytes;
}

struct WriteBody {
  ByteWriter& out;

  void operator()(const ProduceSlotCall& one) const {
    out.integer(byte_of(one.acks));
    out.integer(one.wait_ms_max.value_or(no_wait_limit));
    out.integer(static_cast<std::uint32_t>(one.batches.size()));
    for (const auto& batch : one.batches) {
      out.integer(byte_of(batch.claim ? flag_claim : 0));
      out.integer(static_cast<std::uint32_t>(batch.bytes.size()));
      out.bytes(batch.bytes.view());
      if (batch.claim) out.bytes(ByteView{encode_claim(*batch.claim)});
    }
  }
  void operator()(const FetchCommittedCall& one) const {
    out.integer(one.from.value());
    out.integer(one.bytes_max);
    out.integer(one.up_to.value());
    out.integer(one.wait_ms_max);
  }
  void operator()(const FindOffsetCall& one) const {
    out.integer(byte_of(one.spec.kind));
    out.integer(one.spec.timestamp.value());
  }
  void operator()(const DeleteRecordsCall& one) const { out.integer(one.before.value()); }
  void operator()(const CancelFetchCall&) const {}
};

std::size_t size_of(const LeaderCall& call) {
  std::size_t size = 64;
  if (const auto* produce = std::get_if<ProduceSlotCall>(&call.body)) {
    for (const auto& batch : produce->batches) size += batch.bytes.size() + 8 + claim_bytes;
  }
  return size;
}

void write_error(ByteWriter& out, const Error& error) {
  const auto sentence = std::string_view{error.message}.substr(0, sentence_bytes_max);
  out.integer(byte_of(error.code));
  out.integer(static_cast<std::uint16_t>(sentence.size()));
  out.bytes(as_bytes(sentence));
}

NewBatch read_batch(WireFields& in, const Bytes& all) {
  NewBatch one;
  const auto flags = in.flags(flag_claim);
  one.bytes = in.slice(all, in.integer<std::uint32_t>());
  if (!in.good()) return one;
  const auto batch = record::parse_batch(one.bytes.view());
  if (!batch || batch->bytes.size() != one.bytes.size() || !record::crc_matches(*batch)) {
    in.refuse();
    return one;
  }
  one.header = batch->header;
  if ((flags & flag_claim) == 0) return one;
  const auto claim = in.slice(all, claim_bytes);
  one.claim = decode_claim(claim.view());
  if (!one.claim) in.refuse();
  return one;
}

LeaderCall::Body read_body(WireFields& in, const Bytes& all, Kind kind) {
  switch (kind) {
    case Kind::produce: {
      ProduceSlotCall one;
      const auto acks = in.integer<std::uint8_t>();
      if (acks > byte_of(Acks::quorum)) in.refuse();
      one.acks = static_cast<Acks>(acks);
      const auto wait = in.integer<Millis>();
      if (wait < no_wait_limit) in.refuse();
      if (wait != no_wait_limit) one.wait_ms_max = wait;
      const auto batches = in.count(slot_batches_max, batch_bytes_min);
      one.batches.reserve(batches);
      for (std::size_t i = 0; i < batches && in.good(); ++i) one.batches.push_back(read_batch(in, all));
      return one;
    }
    case Kind::fetch: {
      FetchCommittedCall one;
      one.from = in.number<Offset>(0);
      one.bytes_max = in.integer<std::uint32_t>();
      one.up_to = in.number<Offset>(0);
      one.wait_ms_max = in.integer<Millis>();
      if (one.wait_ms_max < 0) in.refuse();
      return one;
    }
    case Kind::find_offset: {
      FindOffsetCall one;
      const auto which = in.integer<std::uint8_t>();
      if (which > byte_of(OffsetSpec::Kind::timestamp)) in.refuse();
      one.spec.kind = static_cast<OffsetSpec::Kind>(which);
      one.spec.timestamp = TimestampMs{in.integer<std::int64_t>()};
      return one;
    }
    case Kind::delete_records: return DeleteRecordsCall{in.number<Offset>(0)};
    case Kind::cancel_fetch: return CancelFetchCall{};
    default: break;
  }
  in.refuse();
  return CancelFetchCall{};
}

/// Version and kind; refuses another version.
Kind read_head(WireFields& in) {
  if (in.integer<std::uint8_t>() != leader_call_version) in.refuse();
  return static_cast<Kind>(in.integer<std::uint8_t>());
}

/// An answer of `kind`, read by `read(in)`.
template <class T, class Read>
Result<T> read_answer(const Bytes& bytes, Kind kind, Read read) {
  WireFields in(bytes.view());
  if (read_head(in) != kind) in.refuse();
  auto answer = read(in);
  if (!in.finished()) return corrupt("an answer of " + std::to_string(bytes.size()) + " bytes is malformed");
  return answer;
}

Result<PlacedRecords> read_result(WireFields& in) {
  if (const auto error = in.error()) {
    const auto size = in.integer<std::uint16_t>();
    return Error{*error, in.text(std::min<std::size_t>(size, in.remaining()))};
  }
  PlacedRecords placed;
  placed.duplicate = in.flags(flag_duplicate) != 0;
  placed.base_offset = in.number<Offset>(-1);
  placed.timestamp = TimestampMs{in.integer<std::int64_t>()};
  return placed;
}

}  // namespace

ByteBuffer encode_leader_call(const LeaderCall& call) {
  constexpr Kind kinds[] = {Kind::produce, Kind::fetch, Kind::find_offset, Kind::delete_records, Kind::cancel_fetch};
  ByteBuffer bytes;
  grow_capacity(bytes, size_of(call));
  bytes = begin_message(std::move(bytes), kinds[call.body.index()]);
  ByteWriter out(bytes);
  write_id(out, call.partition);
  out.integer(call.leader_epoch.value());
  out.integer(call.number);
  std::visit(WriteBody{out}, call.body);
  return bytes;
}

Result<LeaderCall> decode_leader_call(const Bytes& bytes) {
  WireFields in(bytes.view());
  const auto kind = read_head(in);
  LeaderCall call;
  call.partition = in.id();
  call.leader_epoch = in.number<LeaderEpoch>(0);
  call.number = in.integer<std::uint64_t>();
  if (in.good()) call.body = read_body(in, bytes, kind);
  if (!in.finished()) return corrupt("a call of " + std::to_string(bytes.size()) + " bytes is malformed");
  return call;
}

ByteBuffer encode_leader_answer(const ProduceSlotAnswer& answer) {
  auto bytes = begin_message({}, Kind::produce_answer);
  ByteWriter out(bytes);
  out.integer(static_cast<std::uint32_t>(answer.results.size()));
  for (const auto& result : answer.results) {
    if (!result) {
      write_error(out, result.error());
      continue;
    }
    out.integer(std::uint8_t{0});
    out.integer(byte_of(result->duplicate ? flag_duplicate : 0));
    out.integer(result->base_offset.value());
    out.integer(result->timestamp.value());
  }
  return bytes;
}

ByteBuffer encode_leader_answer(const FetchResponse& answer) {
  ByteBuffer bytes;
  grow_capacity(bytes, 64 + answer.batches.size());
  bytes = begin_message(std::move(bytes), Kind::fetch_answer);
  ByteWriter out(bytes);
  out.integer(answer.leader_epoch.value());
  out.integer(answer.next_offset.value());
  out.integer(answer.log_start_offset.value());
  out.integer(answer.high_watermark.value());
  out.integer(static_cast<std::uint32_t>(answer.batches.size()));
  out.bytes(answer.batches.view());
  return bytes;
}

ByteBuffer encode_leader_answer(const OffsetAnswer& answer) {
  auto bytes = begin_message({}, Kind::offset_answer);
  ByteWriter out(bytes);
  out.integer(answer.leader_epoch.value());
  out.integer(answer.offset.value());
  out.integer(answer.log_start_offset.value());
  out.integer(answer.high_watermark.value());
  return bytes;
}

ByteBuffer encode_leader_answer(Offset answer) {
  auto bytes = begin_message({}, Kind::delete_answer);
  ByteWriter(bytes).integer(answer.value());
  return bytes;
}

Result<ProduceSlotAnswer> decode_produce_answer(const Bytes& bytes) {
  return read_answer<ProduceSlotAnswer>(bytes, Kind::produce_answer, [](WireFields& in) {
    ProduceSlotAnswer answer;
    constexpr std::size_t result_bytes_min = 3;
    const auto results = in.count(slot_batches_max, result_bytes_min);
    answer.results.reserve(results);
    for (std::size_t i = 0; i < results && in.good(); ++i) answer.results.push_back(read_result(in));
    return answer;
  });
}

Result<FetchResponse> decode_fetch_response(const Bytes& bytes) {
  return read_answer<FetchResponse>(bytes, Kind::fetch_answer, [&](WireFields& in) {
    FetchResponse answer;
    answer.leader_epoch = in.number<LeaderEpoch>(0);
    answer.next_offset = in.number<Offset>(0);
    answer.log_start_offset = in.number<Offset>(0);
    answer.high_watermark = in.number<Offset>(0);
    answer.batches = in.slice(bytes, in.integer<std::uint32_t>());
    return answer;
  });
}

Result<OffsetAnswer> decode_offset_answer(const Bytes& bytes) {
  return read_answer<OffsetAnswer>(bytes, Kind::offset_answer, [](WireFields& in) {
    OffsetAnswer answer;
    answer.leader_epoch = in.number<LeaderEpoch>(0);
    answer.offset = in.number<Offset>(0);
    answer.log_start_offset = in.number<Offset>(0);
    answer.high_watermark = in.number<Offset>(0);
    return answer;
  });
}

Result<Offset> decode_delete_answer(const Bytes& bytes) {
  return read_answer<Offset>(bytes, Kind::delete_answer, [](WireFields& in) { return in.number<Offset>(0); });
}

}  // namespace troupe::replication
