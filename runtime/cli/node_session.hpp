#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/cli/output.hpp"
#include "runtime/client/http_client.hpp"

namespace troupe::cli {

/// Which node a command speaks to, and how long it waits.
struct NodeOptions {
  std::string url = {};  ///< or several, with commas; empty: TROUPE_URL, else http://127.0.0.1:8080
  std::string timeout = "30s";
  bool json = false;
};

/// What a node answered.
struct Answer {
  unsigned status = 0;
  std::string text = {};  ///< as it came
  Json body = {};         ///< parsed; discarded when it is no JSON, or has numbers beyond a double

  bool ok() const { return status >= 200 && status < 300; }
};

/// The nodes to ask: one at least. Errors: invalid_argument
Result<std::vector<client::Url>> urls_of(const NodeOptions& options);
/// How long to wait for an answer, ms. Errors: invalid_argument
Result<Millis> timeout_of(const NodeOptions& options);

/// Speaks to one node by its public HTTP interface.
class NodeSession {
 public:
  /// Errors: invalid_argument (a URL or a timeout that is none).
  /// With several URLs it asks one of them, and another when that one is gone.
  static Result<std::unique_ptr<NodeSession>> open(const NodeOptions& options, bool interruptible = false);

  /// `body` null: none. Errors: as HttpClient::send; corrupt_message (success, but no JSON).
  Result<Answer> call(const std::string& method, const std::string& target, const Json& body = nullptr);
  /// The same with a body that is JSON text already, with time beyond the timeout for a long poll, and with any answer.
  Result<Answer> call_text(const std::string& method, const std::string& target, std::string body, Millis extra_ms = 0);
  Status pause(Millis duration_ms) { return client_.pause(duration_ms); }

  Millis timeout_ms() const { return timeout_ms_; }

  /// The answer was not what was asked for. corrupt_message
  Error no_json() const;

  /// `topic "ordres" not found (did you mean "orders"?)`. Asks the node for the names that it has.
  std::string unknown_topic(const std::string& topic);
  /// What a refusing answer says about `what` ("topic \"a\""), as a sentence; and the exit code for it.
  std::string refusal(const Answer& answer, const std::string& what);
  /// The same for a call about a topic: one that does not exist is looked up.
  std::string topic_refusal(const Answer& answer, const std::string& topic);

 private:
  NodeSession(std::vector<client::Url> urls, Millis timeout_ms, bool interruptible)
      : client_(std::move(urls), interruptible), timeout_ms_(timeout_ms) {}

  client::HttpClient client_;
  const Millis timeout_ms_;
};

/// The exit code for an answer that is not ok.
int exit_code_of(const Answer& answer);
int exit_code_of_status(unsigned status);
/// The exit code for a call without an answer.
int exit_code_of(const Error& error);
/// Says that there was no answer and what to do about it.
int complain_no_answer(const Error& error);

/// "/v1/topics/NAME" with NAME encoded.
std::string topic_path(const std::string& topic);

/// The member as text for a table: a string as it is, other values as JSON, nothing for null and for no such member.
std::string text_of(const Json& object, const char* name);
/// The member if it is an array; an empty one otherwise.
const Json& array_of(const Json& object, const char* name);
/// An array of numbers as "1,2,3".
std::string numbers_of(const Json& object, const char* name);
/// The list of an answer, which is either the array itself or the member `name` of an object.
const Json& list_of(const Json& answer, const char* name);

}  // namespace troupe::cli
