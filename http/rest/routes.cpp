#include "http/rest/handlers.hpp"
#include "http/rest/v3.hpp"

namespace troupe::http {
namespace {

const std::vector<std::string_view> json_body{"application/json"};
const std::vector<std::string_view> v2_records{"application/vnd.kafka.binary.v2+json", "application/vnd.kafka.json.v2+json",
                                               "application/vnd.kafka.text.v2+json"};
const QueryParameter limit{"limit", "integer", "Records at most: 1 to 10,000, by default 100"};
const QueryParameter max_bytes{"max_bytes", "integer",
                               "Bytes of records at most, by default 1 MiB; one record is given in any case"};
const QueryParameter wait{"wait", "integer", "Milliseconds to wait when there is no record, at most 60,000"};
const QueryParameter produce_timeout{
    "timeout", "integer", "Milliseconds until a record is refused or of unknown outcome: 1 to 60,000, by default 30,000"};
const QueryParameter format{"format", "string", "auto, json, text or binary: how keys and values are shown"};

void add_v1_topics(std::vector<Route>& all) {
  all.push_back({Method::get, "/v1/topics", "list_topics", "All topics by name", Dialect::v1, list_topics, {}, {}, {200}});
  all.push_back({Method::post,
                 "/v1/topics",
                 "create_topic",
                 "Creates a topic",
                 Dialect::v1,
                 create_topic,
                 {},
                 json_body,
                 {200, 201, 400, 403, 409, 415}});
  all.push_back({Method::get,
                 "/v1/topics/{topic}",
                 "describe_topic",
                 "One topic: partitions with their offsets, settings",
                 Dialect::v1,
                 describe_topic,
                 {},
                 {},
                 {200, 404}});
  all.push_back({Method::patch,
                 "/v1/topics/{topic}",
                 "alter_topic",
                 "Changes settings; adds partitions",
                 Dialect::v1,
                 alter_topic,
                 {},
                 json_body,
                 {200, 400, 403, 404, 415}});
  all.push_back({Method::delete_,
                 "/v1/topics/{topic}",
                 "delete_topic",
                 "Deletes a topic and its records",
                 Dialect::v1,
                 delete_topic,
                 {},
                 {},
                 {204, 403, 404}});
}

void add_v1_records(std::vector<Route>& all) {
  all.push_back({Method::post,
                 "/v1/topics/{topic}/records",
                 "produce",
                 "Writes records; Idempotency-Key makes a retry harmless",
                 Dialect::v1,
                 produce_v1,
                 {{"acks", "string", "none, leader or quorum (the default)"}, produce_timeout},
                 {"application/json", "application/x-ndjson"},
                 {200, 400, 403, 404, 409, 413, 415, 422, 500, 503, 507}});
  all.push_back({Method::get,
                 "/v1/topics/{topic}/records",
                 "read",
                 "Records of all partitions from a position on, or backwards",
                 Dialect::v1,
                 read_records,
                 {{"from", "string", "earliest, latest, last:N, offset:P:O,..., time:T or ago:D"},
                  {"cursor", "string", "Goes on where another page ended; in place of from"},
                  {"key", "string", "Only records with this key"},
                  {"partitions", "string", "Only these partitions: 0,3"},
                  limit,
                  max_bytes,
                  wait,
                  format,
                  {"order", "string", "asc (the default), or desc: newest first"}},
                 {},
                 {200, 400, 404, 416, 503}});
  all.push_back(
      {Method::get,
       "/v1/topics/{topic}/partitions/{partition}/records",
       "read_partition",
       "Records of one partition",
       Dialect::v1,
       read_partition,
       {{"offset", "integer", "Where to begin; by default at the earliest record"}, limit, max_bytes, wait, format},
       {},
       {200, 400, 404, 416, 503}});
  all.push_back({Method::delete_,
                 "/v1/topics/{topic}/partitions/{partition}/records",
                 "delete_records",
                 "Deletes the records below an offset",
                 Dialect::v1,
                 delete_records,
                 {{"before", "integer", "Records below this offset go"}},
                 {},
                 {200, 400, 403, 404, 503}});
  all.push_back({Method::get,
                 "/v1/topics/{topic}/keys/{key}",
                 "read_key",
                 "The last record of a key; ETag is its offset",
                 Dialect::v1,
                 read_key,
                 {format},
                 {},
                 {200, 304, 400, 404, 503}});
}

void add_v1_rest(std::vector<Route>& all) {
  Route events{Method::get,
               "/v1/topics/{topic}/events",
               "events",
               "Records as they come, as server-sent events",
               Dialect::v1,
               nullptr,
               {{"from", "string", "As of GET records; by default latest"},
                {"last_event_id", "string", "Goes on behind this event; the header Last-Event-ID wins"},
                {"key", "string", "Only records with this key; may be repeated"},
                format,
                {"snapshot", "string", "latest_per_key: begins with the last record of each key"},
                {"on_gap", "string", "continue, snapshot or fail, when retention was faster"},
                {"slow", "string", "block, conflate or disconnect, when the client is slow"},
                {"max_rate", "integer", "Records of a key a second, conflated"},
                {"after_ms", "integer", "Slow for that long: disconnected"},
                {"max_lag", "integer", "That many records behind: disconnected"},
                {"group", "string", "Reads as a member of this group: what was sent is committed"},
                {"instance", "string", "With a group: name of a static member"}},
               {},
               {200, 400, 403, 404},
               "text/event-stream"};
  events.kind = RouteKind::events;
  all.push_back(std::move(events));
  Route ws{Method::get,
           "/v1/ws",
           "websocket",
           "WebSocket, subprotocol troupe.v1.json",
           Dialect::v1,
           nullptr,
           {{"auto", "string", "1: connected without a connect command"}},
           {},
           {101, 400, 403, 426}};
  ws.kind = RouteKind::websocket;
  all.push_back(std::move(ws));
}

void add_v2(std::vector<Route>& all) {
  const auto add = [&](Method method, std::string_view pattern, std::string_view op, std::string_view summary,
                       Route::Handler handler, std::vector<unsigned> statuses) {
    all.push_back({method, pattern, op, summary, Dialect::v2, handler, {}, {}, std::move(statuses)});
  };
  add(Method::get, "/", "v2_root", "An empty object; a page for browsers", root_v2, {200});
  add(Method::get, "/brokers", "v2_brokers", "Ids of all brokers", list_brokers_v2, {200});
  add(Method::get, "/topics", "v2_topics", "Names of all topics", list_topics_v2, {200});
  add(Method::get, "/topics/{topic}", "v2_topic", "One topic", describe_topic_v2, {200, 404});
  add(Method::get, "/topics/{topic}/partitions", "v2_partitions", "A topic's partitions", list_partitions_v2, {200, 404});
  add(Method::get, "/topics/{topic}/partitions/{partition}", "v2_partition", "One partition", describe_partition_v2,
      {200, 404});
  add(Method::get, "/topics/{topic}/partitions/{partition}/offsets", "v2_offsets", "A partition's first and next offset",
      partition_offsets_v2, {200, 404, 503});
  const std::vector<unsigned> produced{200, 400, 403, 404, 409, 413, 415, 422, 500, 503, 507};
  all.push_back({Method::post,
                 "/topics/{topic}",
                 "v2_produce",
                 "Writes records",
                 Dialect::v2,
                 produce_v2,
                 {produce_timeout},
                 v2_records,
                 produced});
  all.push_back({Method::post,
                 "/topics/{topic}/partitions/{partition}",
                 "v2_produce_partition",
                 "Writes records to one partition",
                 Dialect::v2,
                 produce_v2,
                 {produce_timeout},
                 v2_records,
                 produced});
}

void add_plain(std::vector<Route>& all) {
  const auto add = [&](std::string_view path, std::string_view op, std::string_view summary, Route::Handler handler,
                       std::vector<unsigned> statuses, std::string_view type) {
    all.push_back({Method::get, path, op, summary, Dialect::plain, handler, {}, {}, std::move(statuses), type});
    all.back().while_starting = true;
  };
  add("/healthz", "healthz", "200 while everything is as it should be", show_health, {200, 503}, json_type);
  add("/livez", "livez", "200 while the process answers", show_live, {200}, json_type);
  add("/readyz", "readyz", "200 while the node serves clients", show_ready, {200, 503}, json_type);
  add("/metrics", "metrics", "Numbers for Prometheus", show_metrics, {200}, "text/plain");
  add("/openapi.json", "openapi", "This document", show_openapi, {200}, json_type);
}

}  // namespace

std::vector<Route> all_routes() {
  std::vector<Route> all;
  add_v1_topics(all);
  add_v1_records(all);
  add_v1_rest(all);
  add_v1_cluster(all);
  add_v1_groups(all);
  add_v2(all);
  add_v2_consumers(all);
  v3::add_routes(all);
  add_plain(all);
  return all;
}

}  // namespace troupe::http
