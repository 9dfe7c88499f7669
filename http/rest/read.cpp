#include <algorithm>
#include <charconv>
#include <limits>
#include <set>

#include "core/record/partitioner.hpp"
#include "http/rest/answers.hpp"
#include "http/rest/handlers.hpp"
#include "http/rest/records_read.hpp"

namespace troupe::http {
namespace {

using consumer::StartFrom;

constexpr std::int64_t records_max = 10'000;
constexpr std::int64_t page_bytes_max = std::int64_t{8} << 20;

Response page_response(const ReadPage& page) {
  Response response;
  auto& out = response.body;
  std::size_t size = 256;
  for (const auto& record : page.records) size += record.json.size() + 1;
  out.reserve(size);
  out = "{\"records\":[";
  for (const auto& record : page.records) {
    if (&record != page.records.data()) out += ',';
    out += record.json;
  }
  out += "],\"cursor\":\"";
  out += page.cursor.encode();
  out += page.end ? "\",\"end\":true" : "\",\"end\":false";
  if (!page.gaps.empty()) {
    out += ",\"gaps\":[";
    for (const auto& gap : page.gaps) {
      if (&gap != page.gaps.data()) out += ',';
      out +=
          "{\"p\":" + to_string(gap.partition) + ",\"from\":" + to_string(gap.from) + ",\"to\":" + to_string(gap.to) + "}";
    }
    out += ']';
  }
  out += '}';
  return response;
}

void run(Rest& rest, const CallPtr& call, ReadPlan plan, std::function<void(const CallPtr&, ReadPage)> answer) {
  const auto wait_ms = plan.wait_ms;
  const auto read = std::make_shared<RecordsRead>(rest.broker, call->executor(), std::move(plan), rest.clock);
  if (wait_ms > 0) {
    call->on_hurry(wait_ms, [weak = std::weak_ptr(read)] {
      if (const auto still = weak.lock()) still->hurry();
    });
  }
  read->start([call, answer = std::move(answer)](Result<ReadPage> page) {
    if (!page) return answer_error(call, Dialect::v1, read_error(page.error()));
    answer(call, std::move(page).value());
  });
}

/// `limit`, `max_bytes`, `wait`, `format`: what all reads share.
std::optional<HttpError> read_common(const Rest& rest, const Query& query, ReadPlan& plan) {
  std::int64_t limit = 100, bytes = std::int64_t{1} << 20, wait_ms = 0;
  if (auto wrong = read_number(query, "limit", 1, records_max, true, limit)) return wrong;
  if (auto wrong = read_number(query, "max_bytes", 1, page_bytes_max, true, bytes)) return wrong;
  if (auto wrong = read_number(query, "wait", 0, rest.options.limits.wait_ms_max, true, wait_ms)) return wrong;
  plan.limit = static_cast<std::size_t>(limit);
  plan.bytes_max = static_cast<std::size_t>(bytes);
  plan.wait_ms = wait_ms;
  plan.now = rest.clock.wall_now();
  if (const auto format = query.find("format")) {
    auto parsed = parse_record_format(*format);
    if (!parsed) return http_error(parsed.error());
    plan.format = *parsed;
  }
  return std::nullopt;
}

std::optional<HttpError> read_order(const Query& query, ReadPlan& plan) {
  const auto order = query.find("order").value_or("asc");
  if (order != "asc" && order != "desc") return bad_request("order is asc or desc");
  plan.descending = order == "desc";
  if (plan.descending && plan.wait_ms > 0) return bad_request("order=desc does not wait: older records are there or not");
  return std::nullopt;
}

/// `from` or `cursor`; without either, forwards from the beginning and backwards from the end.
std::optional<HttpError> read_from(const Query& query, ReadPlan& plan) {
  const auto from = query.find("from"), cursor = query.find("cursor");
  if (from && cursor) return bad_request("from and cursor exclude each other");
  plan.from.kind = plan.descending ? StartFrom::Kind::latest : StartFrom::Kind::earliest;
  if (from) {
    auto parsed = consumer::parse_start(*from);
    if (!parsed) return http_error(parsed.error());
    plan.from = std::move(*parsed);
  }
  if (cursor) {
    auto decoded = consumer::Cursor::decode(*cursor);
    if (!decoded) return http_error(decoded.error());
    if (decoded->topic_id != plan.topic->id) {
      return bad_request("the cursor is of another topic, or of one that was deleted");
    }
    plan.from = {.kind = StartFrom::Kind::cursor, .cursor = std::move(*decoded)};
  }
  const auto exists = [&](PartitionId partition) { return partition.value() < plan.topic->partition_count(); };
  for (const auto& [partition, offset] : plan.from.offsets) {
    if (!exists(partition)) return unknown_partition("Partition not found: " + to_string(partition));
  }
  if (plan.from.cursor && !plan.from.cursor->positions.empty() && !exists(plan.from.cursor->positions.rbegin()->first)) {
    return bad_request("the cursor names a partition that the topic does not have");
  }
  return std::nullopt;
}

/// "0,3"
std::optional<HttpError> read_partitions(std::string_view text, ReadPlan& plan) {
  std::set<PartitionId> chosen;
  for (const auto *at = text.data(), *end = at + text.size();; ++at) {
    std::int32_t number = -1;
    const auto parsed = std::from_chars(at, end, number);
    at = parsed.ptr;
    if (parsed.ec != std::errc() || number < 0 || (at != end && *at != ','))
      return bad_request("partitions wants whole numbers with commas, as in 0,3");
    if (number >= plan.topic->partition_count()) return unknown_partition("Partition not found: " + std::to_string(number));
    chosen.insert(PartitionId{number});
    if (at == end) break;
  }
  plan.partitions.assign(chosen.begin(), chosen.end());
  return std::nullopt;
}

/// A key's records are where its hash says.
std::optional<HttpError> choose_partitions(const Query& query, ReadPlan& plan) {
  const auto key = query.find("key"), partitions = query.find("partitions");
  if (key && partitions) return bad_request("key and partitions exclude each other");
  if (partitions) return read_partitions(*partitions, plan);
  if (key) {
    plan.key = std::string(*key);
    plan.partitions = {record::partition_for_key(as_bytes(*plan.key), plan.topic->partition_count())};
    return std::nullopt;
  }
  for (std::int32_t number = 0; number < plan.topic->partition_count(); ++number) plan.partitions.emplace_back(number);
  return std::nullopt;
}

}  // namespace

void read_records(Rest& rest, const CallPtr& call, Request& request) {
  ReadPlan plan{.topic = find_topic(rest, call, request)};
  if (!plan.topic) return;
  auto wrong = read_common(rest, request.query, plan);
  if (!wrong) wrong = read_order(request.query, plan);
  if (!wrong) wrong = read_from(request.query, plan);
  if (!wrong) wrong = choose_partitions(request.query, plan);
  if (wrong) return answer_error(call, request, *wrong);
  run(rest, call, std::move(plan), [](const CallPtr& to, const ReadPage& page) { to->answer(page_response(page)); });
}

void read_partition(Rest& rest, const CallPtr& call, Request& request) {
  ReadPlan plan{.topic = find_topic(rest, call, request)};
  if (!plan.topic) return;
  const auto partition = find_partition(call, request, *plan.topic, request.parameters[1]);
  if (!partition) return;
  plan.partitions = {*partition};
  auto wrong = read_common(rest, request.query, plan);
  std::int64_t offset = 0;
  if (!wrong) wrong = read_number(request.query, "offset", 0, Offset::max().value(), false, offset);
  if (wrong) return answer_error(call, request, *wrong);
  plan.from.kind = StartFrom::Kind::earliest;
  if (request.query.find("offset"))
    plan.from = {.kind = StartFrom::Kind::offsets, .offsets = {{*partition, Offset{offset}}}};
  run(rest, call, std::move(plan), [](const CallPtr& to, const ReadPage& page) { to->answer(page_response(page)); });
}

void read_key(Rest& rest, const CallPtr& call, Request& request) {
  ReadPlan plan{.topic = find_topic(rest, call, request)};
  if (!plan.topic) return;
  if (auto wrong = read_common(rest, request.query, plan)) return answer_error(call, request, *wrong);
  plan.key = request.parameters[1];
  plan.partitions = {record::partition_for_key(as_bytes(*plan.key), plan.topic->partition_count())};
  plan.from.kind = StartFrom::Kind::latest;
  plan.descending = true;
  plan.limit = 1;
  plan.scanned_bytes_max = std::numeric_limits<std::size_t>::max();  // to the record or to the log's start
  const auto known = std::string(request.head.field("If-None-Match").value_or(""));
  run(rest, call, std::move(plan), [known](const CallPtr& to, ReadPage page) {
    if (page.records.empty() || page.records.front().tombstone) {
      return answer_error(to, Dialect::v1, http_error(404, "not_found", "there is no record with this key"));
    }
    auto& record = page.records.front();
    const auto etag = "\"" + to_string(record.offset) + "\"";
    Response response{.headers = {{"ETag", etag}, {"Cache-Control", "no-cache"}}};
    if (known == etag || known == "*") {
      response.status = 304;
    } else {
      response.body = std::move(record.json);
    }
    to->answer(std::move(response));
  });
}

void delete_records(Rest& rest, const CallPtr& call, Request& request) {
  const auto topic = find_topic(rest, call, request);
  if (!topic) return;
  const auto partition = find_partition(call, request, *topic, request.parameters[1]);
  if (!partition) return;
  if (metadata::is_internal_topic(topic->name)) {
    return answer_error(call, request,
                        http_error(Error{Errc::topic_authorization_failed, "this topic is the system's own"}));
  }
  std::int64_t before = -1;
  if (auto wrong = read_number(request.query, "before", 0, Offset::max().value(), false, before)) {
    return answer_error(call, request, *wrong);
  }
  if (before < 0)
    return answer_error(call, request, bad_request("before is missing: records below this offset are deleted"));
  rest.broker.delete_records({.partition = {topic->id, *partition}, .before = Offset{before}},
                             reply_on<Offset>(call, [](const CallPtr& to, Result<Offset> answer) {
                               if (!answer) return answer_error(to, Dialect::v1, http_error(answer.error()));
                               to->answer({.body = "{\"start\":" + to_string(*answer) + "}"});
                             }));
}

}  // namespace troupe::http
