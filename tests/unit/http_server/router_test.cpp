#include "http/router/router.hpp"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "http/rest/rest.hpp"
#include "http/server/connection_limits.hpp"
#include "http/server/response_head.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::http;

namespace {

const Router& router() {
  static const Router all(all_routes());
  return all;
}

struct Found {
  unsigned status = 0;
  std::string op = {};
  std::vector<std::string> parameters = {};
  std::string allow = {};
};

Found find(Method method, const std::string& path) {
  Target target;
  if (const auto wrong = parse_target(path, target)) return {wrong->status};
  Match match;
  if (const auto wrong = router().find(method, target, match)) return {wrong->status, {}, {}, wrong->allow};
  return {200, std::string(match.route->op), match.parameters};
}

}  // namespace

TEST_CASE("requests are routed by decoded segments", "[router]") {
  CHECK(find(Method::get, "/").op == "v2_root");
  CHECK(find(Method::get, "/topics/").op == "v2_topics");
  CHECK(find(Method::get, "/v1/topics/a%2Db/records?x=1").op == "read");
  CHECK(find(Method::get, "/v1/topics/a%2Db/records").parameters == std::vector<std::string>{"a-b"});
  CHECK(find(Method::head, "/v1/topics").op == "list_topics");
  CHECK(find(Method::get, "/v1/topics/t/keys/a%2Fb%00").parameters ==
        std::vector<std::string>{"t", std::string("a/b\0", 4)});
  CHECK(find(Method::post, "/topics/t/partitions/3").parameters == std::vector<std::string>{"t", "3"});
}

TEST_CASE("paths that lead elsewhere lead nowhere", "[router]") {
  // Goal: rows 57 and 67.
  for (const std::string path :
       {"/../../etc/passwd", "/%2e%2e/", "/console/..%5c..", "//etc", "/topics//partitions", "/topics/..", "/topics/.",
        "/topics/%2e%2e", "/topics/..%2f..%2fetc", "/topics/a%2fb", "/topics/a%00b", "/topics/a/b", "/nothing"}) {
    INFO(path);
    CHECK(find(Method::get, path).status == 404);
  }
  for (const std::string path : {"/topics/%", "/topics/%4", "/topics/%zz", "/topics/%ff", "/topics/%c0%ae"}) {
    INFO(path);
    CHECK(find(Method::get, path).status == 400);
  }
}

TEST_CASE("a path's other methods are told", "[router]") {
  const auto found = find(Method::delete_, "/v1/topics");
  CHECK(found.status == 405);
  CHECK(found.allow == "GET, HEAD, POST, OPTIONS");
}

TEST_CASE("a query is decoded once", "[router]") {
  Query query;
  REQUIRE_FALSE(Query::parse("a=1+2&b=%26%2B&c&&d==", query));
  CHECK(query.find("a") == "1 2");
  CHECK(query.find("b") == "&+");
  CHECK(query.find("c") == "");
  CHECK(query.find("d") == "=");
  CHECK_FALSE(query.find("e"));
  CHECK_FALSE(query.check_unique());
  for (const std::string bad : {"a=%", "a=%ff"}) CHECK(Query::parse(bad, query)->status == 400);
  REQUIRE_FALSE(Query::parse("a=1&b=&a=2", query));
  CHECK(query.check_unique()->status == 400);
}

TEST_CASE("the document and the router's table are one", "[openapi]") {
  // Goal: /openapi.json says what there is, no more and no less.
  const auto document = nlohmann::json::parse(openapi_document(router().routes()));
  CHECK(document["openapi"] == "3.0.3");
  std::size_t operations = 0;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [name, operation] : methods.items()) {
      ++operations;
      INFO(name << " " << path);
      std::string upper = name;
      for (auto& letter : upper) letter = static_cast<char>(std::toupper(letter));
      const auto route = std::ranges::find_if(
          router().routes(), [&](const Route& one) { return one.pattern == path && to_string(one.method) == upper; });
      REQUIRE(route != router().routes().end());
      CHECK(operation["operationId"] == std::string(route->op));
      // What is documented is what is found by it.
      std::string target = path;
      for (auto open = target.find('{'); open != std::string::npos; open = target.find('{')) {
        target.replace(open, target.find('}') - open + 1, "7");
      }
      CHECK(find(route->method, target).op == route->op);
      std::size_t query = 0, in_path = 0;
      for (const auto& parameter : operation.value("parameters", nlohmann::json::array())) {
        if (parameter["in"] == "query") ++query;
        if (parameter["in"] == "path") ++in_path;
      }
      CHECK(query == route->query.size());
      CHECK(in_path == static_cast<std::size_t>(std::ranges::count(path, '{')));
      CHECK(operation.contains("requestBody") == !route->body_types.empty());
      CHECK(operation["responses"].size() == route->statuses.size());
    }
  }
  CHECK(operations == router().routes().size());
  std::set<std::string_view> ops;
  for (const auto& route : router().routes()) {
    CHECK(ops.insert(route.op).second);
    CHECK((route.handler != nullptr) == (route.kind == RouteKind::handler));
  }
}

TEST_CASE("connections are counted by address and by second", "[http]") {
  Limits limits;
  limits.connections_max = 10;
  limits.connections_per_address_max = 3;
  limits.new_connections_per_s_per_address_max = 4;
  ConnectionLimits connections(limits);
  const MonotonicMs start{50'000};
  for (int i = 0; i < 3; ++i) CHECK(connections.admit("10.0.0.1", false, start));
  CHECK_FALSE(connections.admit("10.0.0.1", false, start));
  CHECK(connections.admit("10.0.0.2", false, start));
  connections.release("10.0.0.1");
  CHECK_FALSE(connections.admit("10.0.0.1", false, start + 999));  // the fifth in a second
  CHECK(connections.admit("10.0.0.1", false, start + 1000));
  for (int i = 0; i < 6; ++i) CHECK(connections.admit("127.0.0.1", true, start));
  CHECK_FALSE(connections.admit("127.0.0.1", true, start));
  CHECK(connections.open() == 10);
  connections.release("no such");
  CHECK(connections.open() == 10);
}

TEST_CASE("dates are as HTTP wants them", "[http]") { CHECK(http_date(784'111'777) == "Sun, 06 Nov 1994 08:49:37 GMT"); }
