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
