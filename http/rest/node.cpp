#include "http/rest/answers.hpp"
#include "http/rest/handlers.hpp"
#include "http/rest/json_body.hpp"

/// What people and machines ask about the node itself.
namespace troupe::http {
namespace {

Response health_response(const HealthReport& report, bool well) {
  Json checks = Json::array();
  for (const auto& check : report.checks)
    checks.push_back({{"name", check.name}, {"ok", check.ok}, {"detail", check.detail}});
  return {.status = well ? 200U : 503U,
          .body = dump({{"ready", report.ready}, {"healthy", report.healthy}, {"checks", std::move(checks)}})};
}

}  // namespace

void show_cluster(Rest& rest, const CallPtr& call, Request&) {
  const auto info = rest.broker.cluster();
  Json brokers = Json::array();
  for (const auto& broker : info.brokers) {
    brokers.push_back({{"id", broker.id.value()}, {"host", broker.host}, {"port", broker.port}});
  }
  call->answer({.body = dump({{"cluster_id", to_string(info.cluster_id)},
                              {"node_id", info.node_id.value()},
                              {"controller_id", info.controller_id.value()},
                              {"brokers", std::move(brokers)}})});
}

void show_tree(Rest& rest, const CallPtr& call, Request&) {
  Json actors = Json::array();
  for (const auto& actor : rest.broker.actor_tree()) {
    actors.push_back({{"kind", actor.kind},
                      {"name", actor.name},
                      {"parent", actor.parent},
                      {"state", actor.state},
                      {"mailbox_depth", actor.mailbox_depth},
                      {"messages_handled", actor.messages_handled},
                      {"busy_ms", actor.busy_ms ? Json(*actor.busy_ms) : Json()},
                      {"restarts", actor.restarts},
                      {"last_error", actor.last_error ? Json(*actor.last_error) : Json()}});
  }
  call->answer({.body = dump({{"actors", std::move(actors)}})});
}

void show_health(Rest& rest, const CallPtr& call, Request&) {
  const auto report = rest.broker.health();
  call->answer(health_response(report, report.healthy));
}

void show_live(Rest&, const CallPtr& call, Request&) { call->answer({.body = "{\"live\":true}"}); }

void show_ready(Rest& rest, const CallPtr& call, Request&) {
  const auto report = rest.broker.health();
  call->answer(health_response(report, report.ready));
}

void show_metrics(Rest& rest, const CallPtr& call, Request&) {
  call->answer({.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = rest.metrics.expose()});
}

void show_openapi(Rest& rest, const CallPtr& call, Request&) {
  call->answer({.body = rest.openapi, .headers = {{"Cache-Control", "no-cache"}}});
}

Response file_response(const StaticFile& file, const RequestHead& head) {
  Response response{.content_type = file.content_type,
                    .file = file.content,
                    .headers = {{"ETag", file.etag},
                                {"Cache-Control", "no-cache"},
                                {"Content-Security-Policy",
                                 "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"},
                                {"Referrer-Policy", "no-referrer"}}};
  const auto known = head.field("If-None-Match").value_or("");
  if (known == "*" || known == file.etag || known == "W/" + file.etag) response.status = 304;
  return response;
}

}  // namespace troupe::http
