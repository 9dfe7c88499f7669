#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "core/broker_api.hpp"
#include "core/consumer/subscription.hpp"
#include "http/json/record_output.hpp"
#include "http/stream/group_stream.hpp"

/// What a client may say on a WebSocket, parsed. websocket-sse.md C2.3
namespace troupe::http {

struct ConnectCommand {
  std::optional<std::string> session = {};  ///< to go on with the group subscriptions of
  std::optional<Millis> resume_grace_ms =
      {};  ///< how long group subscriptions wait when the socket is lost; 0: they leave at once
  /// How often it is asked whether it is still there, when it is silent; it has as long to answer. More than the server's is the server's.
  std::optional<Millis> ping_ms = {};
  std::string client = {};  ///< what it calls itself; empty: it does not say
};
struct PingCommand {};

struct ProduceCommand {
  std::string topic = {};
  Acks acks = Acks::quorum;
  std::optional<IdempotenceKey> idempotence = {};
  bool inline_record = false;
  std::string_view text = {};  ///< the whole command: the records are read from it
};
struct SubscribeCommand {
  std::string sub = {};
  std::vector<std::string> topics = {};
  consumer::StartFrom from = {};
  std::optional<std::string> cursor = {};  ///< in place of `from`; one a topic, joined by '.'
  std::set<std::string, std::less<>> keys = {};
  bool snapshot = false;
  consumer::SlowOptions slow = {};
  consumer::OnGap on_gap = consumer::OnGap::continue_;
  consumer::Credit credit = {};
  RecordFormat format = RecordFormat::auto_;
};
/// `subscribe` as a member of a group.
struct JoinCommand {
  std::string sub = {};
  GroupDefinition definition = {};
  consumer::Credit credit = {};
};
/// Offsets by topic and partition.
using NamedPositions = std::map<std::string, std::map<PartitionId, Offset>>;
struct AckCommand {
  std::string sub = {};
  std::optional<std::string> cursor = {};  ///< all before it is done; else
  NamedPositions done = {};                ///< the last record that is, in each partition
};
struct RevokedCommand {
  std::string sub = {};
  std::map<std::string, std::vector<PartitionId>> partitions = {};
};
struct UnsubscribeCommand {
  std::string sub = {};
};
struct CreditCommand {
  std::string sub = {};
  consumer::Credit credit = {};
};
struct PauseCommand {
  std::string sub = {};
  bool paused = true;
};
struct HistoryCommand {
  std::string topic = {};
  std::optional<std::string> before = {};  ///< a cursor
  std::int64_t limit = 50;                 ///< 1 to 1,000
  std::set<std::string, std::less<>> keys = {};
  RecordFormat format = RecordFormat::auto_;
  bool one = false;  ///< `get`: the last record of one key
};
/// Known to the protocol, not to this version.
struct UnsupportedCommand {
  std::string what = {};
};

using Command =
    std::variant<ConnectCommand, PingCommand, ProduceCommand, SubscribeCommand, JoinCommand, AckCommand, RevokedCommand,
                 UnsubscribeCommand, CreditCommand, PauseCommand, HistoryCommand, UnsupportedCommand>;

struct ParsedCommand {
  std::optional<std::uint64_t> id = {};  ///< none: no answer is wanted
  Result<Command> command;
};

/// Reads one command. Views in it point into `text`.
/// Errors: invalid_argument: no JSON object at all, which counts against the connection. What is wrong inside an object comes as the
/// error of `command`.
Result<ParsedCommand> parse_command(std::string_view text);

// Also for the query of an event stream.
Result<consumer::SlowOptions> parse_slow_policy(std::string_view name);

}  // namespace troupe::http
