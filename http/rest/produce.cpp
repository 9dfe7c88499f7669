#include <algorithm>

#include "http/json/produce_body.hpp"
#include "http/json/record_output.hpp"
#include "http/rest/answers.hpp"
#include "http/rest/handlers.hpp"

namespace troupe::http {
namespace {

constexpr std::size_t idempotency_key_bytes_max = 256;

HttpError http_error_of(InputProblem problem) {
  using Kind = InputProblem::Kind;
  HttpError error{.message = shown(problem.message)};
  switch (problem.kind) {
    case Kind::syntax:
    case Kind::shape: break;
    case Kind::missing:
      error.status = 422;
      error.number = 42208;
      break;
    case Kind::unknown_field:
    case Kind::not_base64: error.status = error.number = 422; break;
    case Kind::too_large:
      error.status = error.number = 413;
      error.code = "too_large";
      break;
  }
  return error;
}

/// A produce request on its way: which of its records went to the broker, and what became of the others.
struct Produce {
  Dialect dialect = Dialect::v1;
  bool no_acks = false;
  /// Of records that were never sent; empty when all were.
  std::vector<std::optional<HttpError>> refused = {};
};

HttpError no_such_partition(PartitionId partition) {
  return unknown_partition("Partition not found: " + to_string(partition));
}

/// Takes records for partitions that do not exist out of the request.
void refuse_partitions(ProduceRequest& request, Produce& produce) {
  const auto count = request.topic->partition_count();
  const auto wrong = [count](const ProduceRecord& record) {
    return record.partition && (record.partition->value() < 0 || record.partition->value() >= count);
  };
  if (std::ranges::none_of(request.records, wrong)) return;
  for (const auto& record : request.records) {
    produce.refused.push_back(wrong(record) ? std::optional{no_such_partition(*record.partition)} : std::nullopt);
  }
  std::erase_if(request.records, wrong);
}

void append_result_v1(std::string& out, const ProducedRecord& record, bool no_acks) {
  out += "{\"p\":";
  append_number(out, record.partition.value());
  if (!no_acks) {
    out += ",\"o\":";
    append_number(out, record.offset.value());
    out += ",\"ts\":";
    append_number(out, record.timestamp.value());
    out += record.duplicate ? ",\"dup\":true" : ",\"dup\":false";
  }
  out += '}';
}

void append_result_v2(std::string& out, const ProducedRecord& record) {
  out += "{\"partition\":";
  append_number(out, record.partition.value());
  out += ",\"offset\":";
  append_number(out, record.offset.value());
  out += ",\"error_code\":null,\"error\":null}";
}

void append_failure(std::string& out, Dialect dialect, const HttpError& error) {
  if (dialect == Dialect::v1) {
    out += "{\"err\":";
    append_record_error(out, error);
    out += '}';
    return;
  }
  out += "{\"partition\":null,\"offset\":null,\"error_code\":";
  append_number(out, error.number);
  out += ",\"error\":";
  append_json_string(out, error.message);
  out += '}';
}

/// The one reason for which all records failed; nullopt when some did not, or not for that.
std::optional<HttpError> common_failure(const std::vector<Result<ProducedRecord>>& records,
                                        const std::vector<std::optional<HttpError>>& refused) {
  std::optional<HttpError> common;
  const auto same = [&](HttpError error) {
    if (common && common->number != error.number) return false;
    if (!common) common = std::move(error);
    return true;
  };
  for (const auto& error : refused) {
    if (error && !same(*error)) return std::nullopt;
  }
  for (const auto& record : records) {
    if (record || !same(http_error(record.error()))) return std::nullopt;
  }
  return common;
}

Response produce_response(const Produce& produce, const std::vector<Result<ProducedRecord>>& records) {
  if (auto failure = common_failure(records, produce.refused)) return error_response(*failure, produce.dialect);
  const bool v1 = produce.dialect == Dialect::v1;
  Response response{.content_type = v1 ? json_type : v2_type};
  auto& out = response.body;
  out.reserve(64 + records.size() * 64);
  out = v1 ? "{\"results\":[" : "{\"offsets\":[";
  bool first = true;
  std::size_t sent = 0;
  const auto count = std::max(produce.refused.size(), records.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (!std::exchange(first, false)) out += ',';
    if (i < produce.refused.size() && produce.refused[i]) {
      append_failure(out, produce.dialect, *produce.refused[i]);
      continue;
    }
    const auto& record = records[sent++];
    if (!record) {
      const auto error = http_error(record.error());
      if (error.status == 401 || error.status == 403) response.status = error.status;
      append_failure(out, produce.dialect, error);
    } else if (v1) {
      append_result_v1(out, *record, produce.no_acks);
    } else {
      append_result_v2(out, *record);
    }
  }
  out += v1 ? "]}" : "],\"key_schema_id\":null,\"value_schema_id\":null}";
  return response;
}

/// `Idempotency-Key`, checked.
std::optional<HttpError> read_idempotency(const RequestHead& head, std::optional<IdempotenceKey>& out) {
  const auto key = head.field("Idempotency-Key");
  if (!key) return std::nullopt;
  if (key->empty() || key->size() > idempotency_key_bytes_max) {
    return bad_request("Idempotency-Key has 1 to " + std::to_string(idempotency_key_bytes_max) + " bytes");
  }
  out = IdempotenceKey{.client_id = std::string(*key), .sequence = 0};
  return std::nullopt;
}

std::optional<HttpError> read_acks(const Query& query, std::optional<Acks>& out) {
  const auto text = query.find("acks");
  if (!text) return std::nullopt;
  if (*text == "none") {
    out = Acks::none;
  } else if (*text == "leader") {
    out = Acks::leader;
  } else if (*text == "quorum") {
    out = Acks::quorum;
  } else {
    return bad_request("acks is none, leader or quorum");
  }
  return std::nullopt;
}

/// How long a record may wait for a leader, and for acknowledgement: milliseconds.
std::optional<HttpError> read_timeout(const Query& query, Millis& out) {
  constexpr std::int64_t timeout_ms_max = 60'000;
  return read_number(query, "timeout", 1, timeout_ms_max, false, out);
}

void send(const CallPtr& call, ProduceRequest request, Produce produce) {
  refuse_partitions(request, produce);
  if (request.records.empty()) return call->answer(produce_response(produce, {}));
  const auto sent = request.records.size();
  call->produce_turn().add(
      std::move(request), reply_on<ProduceResponse>(call, [produce = std::move(produce), sent](
                                                              const CallPtr& to, Result<ProduceResponse> answer) {
        if (!answer) return answer_error(to, produce.dialect, http_error(answer.error()));
        if (answer->records.size() != sent) {
          return answer_error(to, produce.dialect, http_error(500, "internal", "the broker's answer is not whole"));
        }
        to->answer(produce_response(produce, answer->records));
      }));
}

/// What both dialects have in common; nullopt when the error has been answered.
std::optional<ProduceRequest> read_request(Rest& rest, const CallPtr& call, Request& request, ProduceFormat format,
                                           std::optional<Acks>& acks) {
  // Whether it exists or not: the name decides.
  if (metadata::is_internal_topic(request.parameters.front())) {
    answer_error(call, request,
                 {.status = 403, .number = 40301, .code = "forbidden", .message = "this topic is the system's own"});
    return std::nullopt;
  }
  auto topic = find_topic(rest, call, request);
  if (!topic) return std::nullopt;
  ProduceRequest produce{.topic = std::move(topic)};
  auto wrong = read_idempotency(request.head, produce.idempotence);
  if (!wrong) wrong = read_acks(request.query, acks);
  if (!wrong) wrong = read_timeout(request.query, produce.timeout_ms);
  ProduceBody body;
  if (!wrong) {
    if (auto problem = read_produce_body(std::move(request.body), format, rest.options.limits, body)) {
      wrong = http_error_of(std::move(*problem));
    }
  }
  if (wrong) {
    answer_error(call, request, *wrong);
    return std::nullopt;
  }
  if (body.acks) acks = body.acks;
  produce.memory = std::move(body.input.memory);
  produce.records = std::move(body.input.records);
  produce.acks = acks.value_or(Acks::quorum);
  return produce;
}

}  // namespace

void produce_v1(Rest& rest, const CallPtr& call, Request& request) {
  const bool lines = media_type(request.head.field("Content-Type").value_or("")) == "application/x-ndjson";
  std::optional<Acks> acks;
  auto produce = read_request(rest, call, request, lines ? ProduceFormat::v1_lines : ProduceFormat::v1, acks);
  if (!produce) return;
  const bool no_acks = produce->acks == Acks::none;
  send(call, std::move(*produce), {.dialect = Dialect::v1, .no_acks = no_acks});
}

void produce_v2(Rest& rest, const CallPtr& call, Request& request) {
  const auto type = media_type(request.head.field("Content-Type").value_or(""));
  const auto format = type == "application/vnd.kafka.json.v2+json"   ? ProduceFormat::v2_json
                      : type == "application/vnd.kafka.text.v2+json" ? ProduceFormat::v2_text
                                                                     : ProduceFormat::v2_binary;
  std::optional<Acks> acks;
  auto produce = read_request(rest, call, request, format, acks);
  if (!produce) return;
  if (request.parameters.size() > 1) {
    const auto partition = find_partition(call, request, *produce->topic, request.parameters[1]);
    if (!partition) return;
    // A record's own partition wins over the path's.
    for (auto& record : produce->records) {
      if (!record.partition) record.partition = *partition;
    }
  }
  send(call, std::move(*produce), {.dialect = Dialect::v2});
}

}  // namespace troupe::http
