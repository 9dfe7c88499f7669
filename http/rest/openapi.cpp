#include <algorithm>

#include "http/rest/json_body.hpp"
#include "http/rest/rest.hpp"

namespace troupe::http {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

std::string_view answer_type(const Route& route) {
  if (!route.answer_type.empty()) return route.answer_type.substr(0, route.answer_type.find(';'));
  return route.dialect == Dialect::v2 ? v2_type : std::string_view("application/json");
}

Json parameters(const Route& route) {
  Json all = Json::array();
  auto rest = route.pattern;
  while (true) {
    const auto open = rest.find('{'), close = rest.find('}');
    if (open == std::string_view::npos || close == std::string_view::npos) break;
    const auto name = rest.substr(open + 1, close - open - 1);
    all.push_back({{"name", name},
                   {"in", "path"},
                   {"required", true},
                   {"schema", {{"type", name == "partition" || name == "broker" ? "integer" : "string"}}}});
    rest.remove_prefix(close + 1);
  }
  for (const auto& one : route.query) {
    all.push_back({{"name", one.name}, {"in", "query"}, {"description", one.description}, {"schema", {{"type", one.type}}}});
  }
  if (route.op == "produce") {
    all.push_back({{"name", "Idempotency-Key"}, {"in", "header"}, {"schema", {{"type", "string"}, {"maxLength", 256}}}});
  }
  return all;
}

Json operation(const Route& route) {
  Json json{{"operationId", route.op}, {"summary", route.summary}};
  if (auto all = parameters(route); !all.empty()) json["parameters"] = std::move(all);
  if (!route.body_types.empty()) {
    Json content = Json::object();
    for (const auto type : route.body_types) content[std::string(type)] = {{"schema", {{"type", "object"}}}};
    json["requestBody"] = {{"required", true}, {"content", std::move(content)}};
  }
  Json responses = Json::object();
  for (const auto status : route.statuses) {
    auto& one = responses[std::to_string(status)];
    one["description"] = status < 300    ? "Done"
                         : status == 304 ? "As the client has it"
                         : status == 307 ? "Another node knows"
                                         : "An error";
    if (status == 101 || status == 204 || status == 304 || status == 307) continue;
    if (status < 300) {
      one["content"] = {{std::string(answer_type(route)), {{"schema", Json::object()}}}};
    } else {
      const auto type = route.dialect == Dialect::v2 ? v2_type : std::string_view("application/json");
      one["content"] = {{std::string(type), {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}};
    }
  }
  json["responses"] = std::move(responses);
  return json;
}

}  // namespace

std::string openapi_document(const std::vector<Route>& routes) {
  Json paths = Json::object();
  for (const auto& route : routes) paths[std::string(route.pattern)][lower(to_string(route.method))] = operation(route);
  const Json error{
      {"type", "object"},
      {"required", {"error_code", "message"}},
      {"properties",
       {{"error_code", {{"type", "integer"}}}, {"message", {{"type", "string"}}}, {"code", {{"type", "string"}}}}}};
  return dump(
      {{"openapi", "3.0.3"},
       {"info",
        {{"title", "Troupe"},
         {"version", "1"},
         {"description",
          "Event streams over HTTP: /v1 is ours, /topics and /brokers are Confluent's REST proxy v2, /v3 is Confluent's "
          "REST API v3, which answers below /kafka/v3, too."}}},
       {"paths", std::move(paths)},
       {"components", {{"schemas", {{"Error", error}}}}}});
}

}  // namespace troupe::http
