#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/router/call.hpp"

namespace troupe::http {

struct Rest;

/// Whose habits a resource follows. It decides media types, and whether errors carry a `code`.
enum class Dialect : unsigned char {
  v1,     ///< ours: application/json
  v2,     ///< Confluent's REST proxy
  v3,     ///< Confluent's REST API
  plain,  ///< neither: health, metrics, files
};

/// Who takes a request that has passed all checks.
enum class RouteKind : unsigned char { handler, websocket, events };

struct QueryParameter {
  std::string_view name;
  std::string_view type;  ///< of JSON schema
  std::string_view description;
};

/// One row of the table from which requests are routed and /openapi.json is made.
struct Route {
  using Handler = void (*)(Rest& rest, const CallPtr& call, Request& request);

  Method method = Method::get;
  std::string_view pattern = {};  ///< "/v1/topics/{topic}/records"
  std::string_view op = {};       ///< its name in metrics and in the document
  std::string_view summary = {};
  Dialect dialect = Dialect::v1;
  Handler handler = nullptr;
  std::vector<QueryParameter> query = {};
  std::vector<std::string_view> body_types = {};  ///< media types it takes; empty: it takes no body
  std::vector<unsigned> statuses = {};            ///< what it may answer, besides what every request may be answered
  std::string_view answer_type = {};              ///< empty: the dialect's
  RouteKind kind = RouteKind::handler;
  bool any_answer = false;           ///< its handler looks at Accept, for it has several forms
  bool while_starting = false;       ///< answered before the node knows its topics, too
  std::string_view also_below = {};  ///< a segment before which the pattern may stand, too: "kafka"
};

/// Where a request goes.
struct Match {
  const Route* route = nullptr;
  std::vector<std::string> parameters = {};
};

/// Finds routes by decoded segments. Nothing is matched by prefix, nothing twice.
class Router {
 public:
  explicit Router(std::vector<Route> routes);

  /// 404 when there is no such path, 405 with what is allowed when there is. HEAD goes where GET goes. OPTIONS: `allowed`.
  std::optional<HttpError> find(Method method, const Target& target, Match& out) const;
  /// "GET, HEAD, POST, OPTIONS" of a path; empty when there is none.
  std::string allowed(const Target& target) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Pattern {
    std::vector<std::string_view> segments;  ///< "{topic}" or a word
    std::size_t route;
  };
  static bool fits(const Pattern& pattern, const Target& target);

  std::vector<Route> routes_;
  std::vector<std::vector<Pattern>> patterns_;  ///< by number of segments
};

/// What has to hold before the body is read: 415, 406, 400 for an unknown parameter (/v1).
std::optional<HttpError> check_request(const Route& route, const RequestHead& head, bool has_body, const Query& query);

/// The answer to a request that failed, in its dialect.
Response error_response(const HttpError& error, Dialect dialect);

/// "application/json" of "Application/JSON; charset=utf-8", lower case.
std::string media_type(std::string_view content_type);

}  // namespace troupe::http
