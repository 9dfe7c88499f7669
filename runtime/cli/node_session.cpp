#include "runtime/cli/node_session.hpp"

#include <cstdlib>
#include <vector>

#include "base/nearest_name.hpp"
#include "runtime/cli/table.hpp"
#include "runtime/client/url.hpp"
#include "runtime/config/value_text.hpp"

namespace troupe::cli {
namespace {

constexpr std::string_view default_url = "http://127.0.0.1:8080";

std::string first_line(std::string_view text) { return plain(text.substr(0, std::min<std::size_t>(text.find('\n'), 200))); }

}  // namespace

Result<std::vector<client::Url>> urls_of(const NodeOptions& options) {
  const char* variable = std::getenv("TROUPE_URL");
  const auto text = !options.url.empty()                       ? options.url
                    : variable != nullptr && *variable != '\0' ? variable
                                                               : std::string(default_url);
  return client::parse_urls(text);
}

Result<Millis> timeout_of(const NodeOptions& options) {
  const auto timeout_ms = runtime::parse_duration(options.timeout);
  if (!timeout_ms || *timeout_ms < 1 || *timeout_ms > 86'400'000) {
    return Error{Errc::invalid_argument,
                 "--timeout " + runtime::quote(options.timeout) + ": expected a duration up to 1d, such as \"30s\""};
  }
  return *timeout_ms;
}

Result<std::unique_ptr<NodeSession>> NodeSession::open(const NodeOptions& options, bool interruptible) {
  TROUPE_TRY_ASSIGN(auto urls, urls_of(options));
  TROUPE_TRY_ASSIGN(const auto timeout_ms, timeout_of(options));
  return std::unique_ptr<NodeSession>(new NodeSession(std::move(urls), timeout_ms, interruptible));
}

Result<Answer> NodeSession::call(const std::string& method, const std::string& target, const Json& body) {
  TROUPE_TRY_ASSIGN(auto answer, call_text(method, target,
                                           body.is_null() ? "" : body.dump(-1, ' ', false, Json::error_handler_t::replace)));
  if (answer.ok() && !answer.text.empty() && answer.body.is_discarded()) return no_json();
  return answer;
}

Result<Answer> NodeSession::call_text(const std::string& method, const std::string& target, std::string body,
                                      Millis extra_ms) {
  TROUPE_TRY_ASSIGN(auto response, client_.send({.method = method,
                                                 .target = target,
                                                 .body = std::move(body),
                                                 .content_type = "application/json",
                                                 .timeout_ms = timeout_ms_ + extra_ms}));
  Answer answer{response.status, std::move(response.body)};
  answer.body = Json::parse(answer.text, nullptr, false);
  return answer;
}

Error NodeSession::no_json() const {
  return {Errc::corrupt_message, "what " + client_.url().authority() + " answers is not what a Troupe node answers there"};
}

std::string NodeSession::unknown_topic(const std::string& topic) {
  const auto what = "topic " + runtime::quote(topic) + " not found";
  const auto answer = call("GET", "/v1/topics");
  if (!answer || !answer->ok()) return what;
  std::vector<std::string> names;
  for (const auto& each : list_of(answer->body, "topics")) names.push_back(text_of(each, "name"));
  const auto near = nearest_name(topic, std::vector<std::string_view>(names.begin(), names.end()));
  // Its own name: it was created meanwhile.
  if (near && *near != topic) return what + " (did you mean " + runtime::quote(*near) + "?)";
  return what + "; `troupe topic list` shows what there is";
}

std::string NodeSession::refusal(const Answer& answer, const std::string& what) {
  auto message = text_of(answer.body, "message");
  if (message.empty() && answer.body.is_object() && answer.body.contains("err"))
    message = text_of(answer.body.at("err"), "msg");
  if (message.empty()) message = first_line(answer.text);
  return what + ": " + (message.empty() ? "refused" : plain(message)) + " (HTTP " + std::to_string(answer.status) + ")";
}

std::string NodeSession::topic_refusal(const Answer& answer, const std::string& topic) {
  // 40401: not the topic's partition, key or record, but the topic.
  const bool no_topic = answer.status == 404 && text_of(answer.body, "error_code") == "40401";
  return no_topic ? unknown_topic(topic) : refusal(answer, "topic " + runtime::quote(topic));
}

int exit_code_of(const Answer& answer) { return exit_code_of_status(answer.status); }

int exit_code_of_status(unsigned status) {
  switch (status) {
    case 404: return exit_not_found;
    case 409: return exit_conflict;
    case 401:
    case 403:
    case 421: return exit_refused;
    case 408:
    case 503:
    case 504: return exit_unreachable;
    default: return exit_failed;
  }
}

int exit_code_of(const Error& error) {
  switch (error.code) {
    case Errc::invalid_argument: return exit_usage;
    case Errc::leader_not_available:
    case Errc::request_timed_out: return exit_unreachable;
    case Errc::cancelled: return exit_interrupted;
    default: return exit_failed;
  }
}

int complain_no_answer(const Error& error) {
  const auto hint = error.code == Errc::leader_not_available
                        ? "; is `troupe serve` running there? --url or TROUPE_URL names another node"
                        : "";
  return complain(error.message + hint, exit_code_of(error));
}

std::string topic_path(const std::string& topic) { return "/v1/topics/" + client::percent_encoded(topic); }

std::string text_of(const Json& object, const char* name) {
  if (!object.is_object()) return {};
  const auto member = object.find(name);
  if (member == object.end() || member->is_null()) return {};
  return member->is_string() ? member->get<std::string>() : member->dump(-1, ' ', false, Json::error_handler_t::replace);
}

const Json& array_of(const Json& object, const char* name) {
  static const Json none = Json::array();
  if (!object.is_object()) return none;
  const auto member = object.find(name);
  return member != object.end() && member->is_array() ? *member : none;
}

std::string numbers_of(const Json& object, const char* name) {
  std::string out;
  for (const auto& each : array_of(object, name)) {
    out += (out.empty() ? "" : ",") + each.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  return out;
}

const Json& list_of(const Json& answer, const char* name) { return answer.is_array() ? answer : array_of(answer, name); }

}  // namespace troupe::cli
