#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "core/broker_api.hpp"
#include "http/message/request_head.hpp"
#include "http/router/executor.hpp"
#include "http/router/produce_turn.hpp"
#include "http/router/target.hpp"

namespace troupe::http {

struct Route;

inline constexpr std::string_view json_type = "application/json; charset=utf-8";
inline constexpr std::string_view v2_type = "application/vnd.kafka.v2+json";

struct Response {
  unsigned status = 200;
  std::string_view content_type = json_type;  ///< of static storage; empty: none is sent
  std::string body = {};
  std::string_view file = {};                                          ///< the body of a static file, in place of `body`
  std::vector<std::pair<std::string_view, std::string>> headers = {};  ///< names of static storage; values without line ends
  bool close = false;
};

/// A checked request, for its handler. Valid during the handler's call; the body may be moved away.
struct Request {
  const RequestHead& head;
  const Route& route;
  const std::vector<std::string>& parameters;  ///< what the route's {..} segments held, decoded
  const Query& query;
  ByteBuffer body;
};

/// One request under way. Lives as long as somebody may answer it.
class Call {
 public:
  virtual ~Call() = default;

  /// Answers; the first answer counts. On the call's thread.
  virtual void answer(Response response) = 0;
  /// The call's thread.
  virtual const std::shared_ptr<Executor>& executor() const = 0;
  /// The call's thread's. On that thread.
  virtual ProduceTurn& produce_turn() = 0;
  /// For an answer that waits for something to happen: `hurry` is called on the call's thread, once, after `wait_ms` or when the
  /// client leaves or the node drains; the answer has to come then.
  virtual void on_hurry(Millis wait_ms, std::function<void()> hurry) = 0;
};
using CallPtr = std::shared_ptr<Call>;

/// A reply that comes back on the call's thread.
template <class T, class Function>
Reply<T> reply_on(const CallPtr& call, Function function) {
  return Reply<T>([call, function = std::move(function)](Result<T> answer) mutable {
    const auto executor = call->executor();  // held: the work may be dropped, and the call with it
    executor->post([call = std::move(call), function = std::move(function), answer = std::move(answer)]() mutable {
      function(call, std::move(answer));
    });
  });
}

}  // namespace troupe::http
