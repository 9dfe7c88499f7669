#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "tests/unit/http_server/gateway_fixture.hpp"

namespace troupe::test {

/// A gateway that is asked through /v1 and its like.
struct RestFixture : GatewayFixture {
  explicit RestFixture(http::GatewayOptions options = {}) : GatewayFixture(std::move(options)), http(gateway.port()) {}

  HttpAnswer post(const std::string& target, const std::string& body, const std::string& type = "application/json",
                  const std::string& fields = {}) {
    return http.request("POST", target, body, type, fields);
  }
  nlohmann::json get_json(const std::string& target, unsigned status = 200) {
    const auto answer = http.get(target);
    INFO(target << " " << answer.body);
    CHECK(answer.status == status);
    return nlohmann::json::parse(answer.body);
  }
  /// The status of a failed request, when its body is an error as it should be.
  int failure(const HttpAnswer& answer) {
    const auto body = nlohmann::json::parse(answer.body, nullptr, false);
    INFO(answer.status << " " << answer.body);
    REQUIRE(body.is_object());
    REQUIRE(body.contains("error_code"));
    CHECK(body["message"].is_string());
    CHECK(answer.status >= 400);
    return body["error_code"].get<int>();
  }

  HttpClient http;
};

}  // namespace troupe::test
