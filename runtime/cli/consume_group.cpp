#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "runtime/cli/consume_command.hpp"
#include "runtime/cli/record_format.hpp"
#include "runtime/client/json_slice.hpp"
#include "runtime/client/ws_client.hpp"
#include "runtime/config/value_text.hpp"

/// `consume --group`: a member of a group over a WebSocket, whose end is the end of its membership. docs/consumers.md
namespace troupe::cli {
namespace {

constexpr std::int64_t window_records = 500;  ///< may wait to be printed; as many come again when it is killed
constexpr Millis wait_ms = 60'000;
constexpr Millis quiet_ms = 300;     ///< without a record: time to ask whether there are more
constexpr Millis settling_ms = 150;  ///< of a new share of the partitions
constexpr Millis goodbye_ms = 5'000;
constexpr Millis pause_ms_min = 200;
constexpr Millis pause_ms_max = 2000;
constexpr std::uint64_t connect_id = 1;
constexpr std::uint64_t subscribe_id = 2;

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    if (end > begin) lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

/// What `troupe group members` shows.
std::string name_of_this() {
  char host[256] = "localhost";
  (void)::gethostname(host, sizeof host - 1);
  return "consume-" + std::to_string(::getpid()) + "@" + std::string(host).substr(0, 200);
}

std::string counted(std::int64_t count) { return std::to_string(count) + (count == 1 ? " record" : " records"); }

class GroupConsumer {
 public:
  GroupConsumer(const ConsumeOptions& options, NodeSession& session, client::WsClient& socket, RecordFormat format)
      : options_(options), session_(session), socket_(socket), format_(std::move(format)), out_(options.node.json) {}

  int run() {
    std::optional<int> exit_code;
    while (!exit_code) exit_code = turn();
    leave(*exit_code);
    return *exit_code;
  }

 private:
  /// One message. The exit code, when that was the last.
  std::optional<int> turn() {
    if (state_ == State::away) return join();
    auto wait = state_ == State::joining ? session_.timeout_ms() : options_.exit_at_end ? quiet_ms : wait_ms;
    if (say_at_) wait = std::clamp<Millis>(*say_at_ - clock_.monotonic_now(), 0, wait);
    const auto message = socket_.receive(wait);
    if (!message) return trouble(message.error());
    if (say_at_ && clock_.monotonic_now() >= *say_at_) {
      say_own();
      if (!*message) return std::nullopt;
    }
    if (!*message) {
      if (state_ == State::joining) return trouble({Errc::request_timed_out, "the node does not answer"});
      return options_.exit_at_end && at_end() ? std::optional(exit_ok) : std::nullopt;
    }
    for (const auto line : lines_of(**message)) {
      if (const auto exit_code = take(line)) return exit_code;
      if (state_ == State::away) return std::nullopt;
    }
    return settle();
  }

  // --- its membership -------------------------------------------------------------------------------------------------------------

  std::optional<int> join() {
    if (const auto connected = socket_.connect(session_.timeout_ms()); !connected) return trouble(connected.error());
    state_ = State::joining;
    uncommitted_ = unsaid_ = 0;
    credit_ = window();
    const auto otherwise = options_.offset.value_or("start") == "end" ? "latest" : "earliest";
    // Who is killed has left: nobody waits for it to come back.
    if (const auto exit_code = send({{"id", connect_id}, {"op", "connect"}, {"client", name_}, {"resume_grace_ms", 0}})) {
      return exit_code;
    }
    if (state_ == State::away) return std::nullopt;
    return send({{"id", subscribe_id},
                 {"op", "subscribe"},
                 {"sub", "c"},
                 {"topics", Json::array({options_.topic})},
                 {"group", *options_.group},
                 {"ack", "manual"},
                 {"from", {{"committed", true}, {"else", otherwise}}},
                 {"credit", {{"msgs", credit_}}}});
  }

  /// Whoever has its partitions now gets again what was not committed.
  void forget_membership() {
    state_ = State::away;
    own_.clear();
    say_at_.reset();
    said_.clear();
    done_.clear();
    open_acks_.clear();
  }

  std::optional<int> trouble(const Error& error) {
    if (error.code == Errc::cancelled) return exit_interrupted;
    forget_membership();
    if (leaving_) return exit_failed;
    const auto now = clock_.monotonic_now();
    if (!heard_) return complain_no_answer(error);
    if (!failing_since_) {
      complain(error.message + "; joins again");
      failing_since_ = now;
      pause_ms_ = pause_ms_min;
    }
    if (now - *failing_since_ > session_.timeout_ms()) return complain_no_answer(error);
    if (const auto paused = socket_.pause(std::exchange(pause_ms_, std::min(pause_ms_ * 2, pause_ms_max))); !paused)
      return exit_interrupted;
    return std::nullopt;
  }

  /// Commits what was printed, and leaves: the others need not wait for the session timeout.
  void leave(int exit_code) {
    (void)out_.finish();
    if (state_ != State::away) {
      if (exit_code == exit_interrupted) socket_.forget_interruption();
      leaving_ = true;
      const auto until = clock_.monotonic_now() + goodbye_ms;
      if (!acknowledge(true)) take_until(until, [this] { return open_acks_.empty(); });
      if (state_ != State::away && !send({{"id", *(goodbye_ = ++last_id_)}, {"op", "unsubscribe"}, {"sub", "c"}}))
        take_until(until, [this] { return !goodbye_; });
      socket_.close();
    }
    if (!heard_ || (exit_code == exit_ok && uncommitted_ == 0)) return;
    const auto again = uncommitted_ > 0 ? "; the last " + std::to_string(uncommitted_) + " may come again" : "";
    std::fprintf(stderr, "troupe: %s%s\n", counted(records_).c_str(), again.c_str());
  }

  /// What the node says, until `is_over`, the time is, or nobody is there.
  template <class IsOver>
  void take_until(MonotonicMs until, IsOver is_over) {
    while (state_ != State::away && !is_over()) {
      const auto left = until - clock_.monotonic_now();
      const auto message = socket_.receive(std::max<Millis>(0, left));
      if (left <= 0 || !message || !*message) return;
      for (const auto line : lines_of(**message)) (void)take(line);
    }
  }

  // --- what the node says ---------------------------------------------------------------------------------------------------------

  std::optional<int> take(std::string_view line) {
    if (client::json_member(line, "ev") == "\"records\"") return leaving_ ? std::nullopt : print(line);
    const auto frame = Json::parse(line, nullptr, false);
    if (!frame.is_object()) return complain(session_.no_json());
    if (frame.contains("re")) return take_reply(frame);
    const auto event = text_of(frame, "ev");
    if (event == "sub") return take_state(frame);
    if (event == "goaway") return move_on(frame);
    if (frame.contains("err")) complain(plain_error(frame.at("err")));
    return std::nullopt;
  }

  std::optional<int> take_reply(const Json& frame) {
    const auto id = frame.at("re").is_number_unsigned() ? frame.at("re").get<std::uint64_t>() : 0;
    if (!frame.contains("err")) {
      if (id == subscribe_id) {
        state_ = State::member;
        heard_ = true;
        failing_since_.reset();
      }
      if (const auto ack = open_acks_.extract(id)) uncommitted_ -= ack.mapped();
      if (id == goodbye_) goodbye_.reset();
      return std::nullopt;
    }
    // A partition that moved while its commit was on its way: it is no longer ours.
    if (open_acks_.erase(id) > 0 || leaving_) {
      if (id == goodbye_) goodbye_.reset();
      complain(plain_error(frame.at("err")));
      return std::nullopt;
    }
    return refused(frame.at("err"));
  }

  std::optional<int> refused(const Json& error) {
    if (text_of(error, "retry") == "true") return trouble({Errc::leader_not_available, plain_error(error)});
    forget_membership();
    const auto number = runtime::parse_integer(text_of(error, "num")).value_or(0);
    complain(plain_error(error));
    return exit_code_of_status(static_cast<unsigned>(number >= 10'000 ? number / 100 : number));
  }

  std::string named_group() const { return "group " + runtime::quote(*options_.group); }
  std::string plain_error(const Json& error) const {
    return named_group() + ": " + runtime::printable(text_of(error, "msg"), 300);
  }

  std::optional<int> take_state(const Json& frame) {
    const auto state = text_of(frame, "state");
    if (state == "ended") return refused(frame.contains("err") ? frame.at("err") : Json::object());
    if (state == "gap" || state == "reset") {
      say_jump(frame);
      return std::nullopt;
    }
    if (state == "paused" || state == "resumed") complain(named_group() + ": " + state);
    const auto partitions = frame.contains("partitions") ? frame.at("partitions") : Json::object();
    const auto& numbers = array_of(partitions, options_.topic.c_str());
    if (state == "assigned") {
      for (const auto& number : numbers) own_.insert(number.is_number_integer() ? number.get<std::int64_t>() : -1);
      say_own_soon();
    } else if (state == "revoking") {
      if (const auto exit_code = settle()) return exit_code;
      if (const auto exit_code = acknowledge(true)) return exit_code;
      return send({{"op", "revoked"}, {"sub", "c"}, {"partitions", partitions}});
    } else if (state == "revoked" || state == "lost") {
      for (const auto& number : numbers) {
        if (!number.is_number_integer()) continue;
        own_.erase(number.get<std::int64_t>());
        done_.erase(number.get<std::int64_t>());
      }
      if (state == "lost") complain(named_group() + ": it went on without this member, which joins again");
      say_own_soon();
    }
    return std::nullopt;
  }

  /// Why there are records, or none. Partitions come one by one: all that come within a moment are told at once.
  void say_own_soon() {
    if (!say_at_) say_at_ = clock_.monotonic_now() + settling_ms;
  }
  void say_own() {
    say_at_.reset();
    std::string text;
    for (const auto number : own_) text += (text.empty() ? "" : ",") + std::to_string(number);
    text = text.empty() ? "no partitions of " + options_.topic : options_.topic + " " + text;
    if (!leaving_ && text != said_) complain(named_group() + ": has " + text);
    said_ = text;
  }

  /// What retention took before it was read is missing, and never silently; nor goes a reset unsaid.
  void say_jump(const Json& frame) const {
    const auto topics = frame.contains("partitions") ? frame.at("partitions") : Json::object();
    if (!topics.is_object()) return;
    for (const auto& [topic, partitions] : topics.items()) {
      if (!partitions.is_object()) continue;
      for (const auto& [number, place] : partitions.items()) {
        const auto where = "partition " + runtime::printable(number, 30) + ": ";
        const auto from = runtime::printable(text_of(place, "from"), 30);
        const auto to = runtime::printable(text_of(place, "to"), 30);
        complain(text_of(frame, "state") == "gap"
                     ? where + "the records from offset " + from + " up to " + to + " no longer exist"
                     : where + "goes on at offset " + to +
                           (text_of(frame, "reason") == "group" ? ": the group was reset" : ""));
      }
    }
  }

  /// The node goes away: to another one, before it has gone.
  std::optional<int> move_on(const Json& frame) {
    const auto& nodes = array_of(frame, "nodes");
    if (nodes.empty()) return std::nullopt;  // nowhere to go: it is served here to the end
    for (const auto& node : nodes) {
      const auto text = node.is_string() ? node.get<std::string>() : "";
      if (!text.starts_with("ws://")) continue;
      if (auto url = client::parse_url("http://" + text.substr(5, text.find('/', 5) - 5))) socket_.add(std::move(*url));
    }
    if (const auto exit_code = settle()) return exit_code;
    if (const auto exit_code = acknowledge(true)) return exit_code;
    if (const auto exit_code = send({{"op", "unsubscribe"}, {"sub", "c"}})) return exit_code;
    socket_.close();
    uncommitted_ = 0;  // told before it left
    forget_membership();
    return std::nullopt;
  }

  // --- records --------------------------------------------------------------------------------------------------------------------

  std::optional<int> print(std::string_view frame) {
    for (const auto json : client::json_elements(client::json_member(frame, "r").value_or(""))) {
      const auto record = parse_shown_record(json);
      if (!record) return complain(record.error());
      const auto partition = runtime::parse_integer(record->partition);
      const auto offset = runtime::parse_integer(record->offset);
      if (!partition || !offset) return complain(session_.no_json());
      if (out_.json()) {
        out_.line(client::on_one_line(json));
      } else {
        out_.text(format_.apply(*record, options_.topic, for_terminal_));
      }
      printed_[*partition] = *offset;
      ++printing_;
      --credit_;
    }
    return std::nullopt;
  }

  /// After a message: what is out is done.
  std::optional<int> settle() {
    if (!out_.finish()) return exit_failed;
    if (out_.closed()) return exit_ok;
    for (const auto& [partition, offset] : std::exchange(printed_, {})) done_[partition] = offset;
    const auto count = std::exchange(printing_, 0);
    records_ += count;
    unsaid_ += count;
    uncommitted_ += count;
    if (options_.count && records_ >= *options_.count) return exit_ok;
    if (const auto exit_code = acknowledge(false)) return exit_code;
    return give_credit();
  }

  /// One at a time, unless `now`: what is printed meanwhile goes with the next.
  std::optional<int> acknowledge(bool now) {
    if (done_.empty() || (!now && !open_acks_.empty())) return std::nullopt;
    Json upto = Json::object();
    for (const auto& [partition, offset] : std::exchange(done_, {})) upto[std::to_string(partition)] = offset;
    open_acks_[++last_id_] = std::exchange(unsaid_, 0);
    return send({{"id", last_id_}, {"op", "ack"}, {"sub", "c"}, {"upto", {{options_.topic, upto}}}});
  }

  /// What may be on its way to us.
  std::int64_t window() const {
    return options_.count ? std::min(window_records, *options_.count - records_) : window_records;
  }

  std::optional<int> give_credit() {
    const auto more = window() - credit_;
    if (more <= 0 || credit_ * 2 > window_records) return std::nullopt;
    credit_ += more;
    return send({{"op", "credit"}, {"sub", "c"}, {"msgs", more}});
  }

  /// Whether every partition of its share is committed to its end, and nothing is about to move.
  bool at_end() {
    if (!open_acks_.empty() || !done_.empty()) return false;
    const auto answer = session_.call("GET", "/v1/groups/" + client::percent_encoded(*options_.group));
    if (!answer || !answer->ok() || text_of(answer->body, "state") != "stable") return false;
    if (own_.empty()) {
      return std::ranges::any_of(array_of(answer->body, "members"), [&](const Json& one) {
        return text_of(one, "client_id") == name_ && array_of(one, "target").empty();
      });
    }
    const bool from_start = options_.offset.value_or("start") != "end";
    return std::ranges::all_of(array_of(answer->body, "partitions"), [&](const Json& one) {
      const auto number = runtime::parse_integer(text_of(one, "partition"));
      if (text_of(one, "topic") != options_.topic || !number || !own_.contains(*number)) return true;
      const bool never_read = text_of(one, "committed").empty();
      if (!never_read) return text_of(one, "lag") == "0";
      return !from_start || text_of(one, "log_start") == text_of(one, "log_end");
    });
  }

  std::optional<int> send(const Json& frame) {
    if (const auto sent = socket_.send(frame.dump()); !sent) return trouble(sent.error());
    return std::nullopt;
  }

  enum class State { away, joining, member };

  const ConsumeOptions& options_;
  NodeSession& session_;
  client::WsClient& socket_;
  const RecordFormat format_;
  Output out_;
  const bool for_terminal_ = ::isatty(STDOUT_FILENO) == 1;
  const SystemClock clock_;
  const std::string name_ = name_of_this();
  State state_ = State::away;
  bool heard_ = false;  ///< it has been a member
  bool leaving_ = false;
  std::optional<MonotonicMs> failing_since_ = {};
  Millis pause_ms_ = pause_ms_min;
  std::set<std::int64_t> own_ = {};
  std::string said_ = {};
  std::optional<MonotonicMs> say_at_ = {};
  std::map<std::int64_t, std::int64_t> printed_ = {};     ///< the last of each partition, perhaps still in a buffer
  std::map<std::int64_t, std::int64_t> done_ = {};        ///< is out, and not acknowledged
  std::map<std::uint64_t, std::int64_t> open_acks_ = {};  ///< not answered yet: how many records
  std::optional<std::uint64_t> goodbye_ = {};             ///< the reply to it is the last one that we wait for
  std::uint64_t last_id_ = subscribe_id;
  std::int64_t printing_ = 0;
  std::int64_t records_ = 0;
  std::int64_t unsaid_ = 0;       ///< of them, in `done_`
  std::int64_t uncommitted_ = 0;  ///< of them, as far as is known
  std::int64_t credit_ = 0;       ///< may come without being asked for again
};

}  // namespace

int consume_group(const ConsumeOptions& options) {
  auto format = RecordFormat::parse(options.format);
  if (!format) return complain(format.error().message, exit_usage);
  if (options.cursor || options.key || options.partitions) {
    return complain(
        "--group goes on where the group is, with its share of the partitions: --cursor, -k and -p are for reading alone",
        exit_usage);
  }
  if (options.offset && *options.offset != "start" && *options.offset != "end") {
    return complain("-o " + runtime::quote(*options.offset) +
                        ": with --group, start or end, for where the group has no position; `troupe group reset` moves it",
                    exit_usage);
  }
  if (options.count && *options.count < 1) return complain("-n: expected 1 or more", exit_usage);
  auto session = NodeSession::open(options.node);
  if (!session) return complain(session.error().message, exit_usage);
  auto urls = urls_of(options.node);
  if (!urls) return complain(urls.error().message, exit_usage);
  // A group may wait for a topic that does not exist yet; whoever mistypes a name should not.
  const auto topic = (*session)->call("GET", topic_path(options.topic));
  if (!topic) return complain_no_answer(topic.error());
  if (!topic->ok()) return complain((*session)->topic_refusal(*topic, options.topic), exit_code_of(*topic));
  client::WsClient socket(std::move(*urls));
  return GroupConsumer(options, **session, socket, std::move(*format)).run();
}

}  // namespace troupe::cli
