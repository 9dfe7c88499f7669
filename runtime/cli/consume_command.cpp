#include "runtime/cli/consume_command.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "runtime/cli/record_format.hpp"
#include "runtime/client/json_slice.hpp"
#include "runtime/client/url.hpp"
#include "runtime/config/value_text.hpp"
#include "runtime/cli/times.hpp"

namespace troupe::cli {
namespace {

constexpr std::int64_t page_records_max = 1000;
constexpr Millis wait_ms = 20'000;  // of a long poll; a node allows 60 s by default
constexpr Millis pause_ms_min = 200;
constexpr Millis pause_ms_max = 2000;

/// An offset in every partition: "offset:0:17,1:17". Where a log begins later or ends earlier, there.
Result<std::string> offsets_of(const Json& topic, std::int64_t number, bool from_start) {
  std::string out = "offset:";
  for (const auto& partition : array_of(topic, "partitions")) {
    const auto start = runtime::parse_integer(text_of(partition, "start"));
    const auto end = runtime::parse_integer(text_of(partition, "end"));
    if (!start || !end || *end < *start)
      return Error{Errc::corrupt_message, "the node does not say where the partitions begin and end"};
    const auto wanted = from_start ? *start + std::min(number, *end - *start) : std::clamp(number, *start, *end);
    out += (out.back() == ':' ? "" : ",") + text_of(partition, "p") + ":" + std::to_string(wanted);
  }
  return out;
}

Error wrong_offset(const std::string& text) {
  return {Errc::invalid_argument, "-o " + runtime::quote(text) +
                                      ": expected start, end, +N, -N, N, @TIME (ms since 1970 or 2026-01-31T12:00) or @-5m"};
}

/// `-o` as the query's `from`; those that count from the start or are absolute need the topic.
struct Start {
  std::string from = {};
  std::optional<std::int64_t> number = {};
  bool from_start = false;
};

Result<Start> parse_offset(const std::string& text) {
  if (text == "start") return Start{"earliest"};
  if (text == "end") return Start{"latest"};
  if (text.starts_with("@-")) {
    const auto ago = runtime::parse_duration(text.substr(2));
    if (!ago) return wrong_offset(text);
    return Start{"ago:" + std::to_string(*ago) + "ms"};
  }
  if (text.starts_with('@'))
    return text.size() > 1 ? Result<Start>(Start{"time:" + whole_time(text.substr(1))}) : wrong_offset(text);
  const bool sign = text.starts_with('+') || text.starts_with('-');
  const auto digits = text.substr(sign ? 1 : 0);
  const auto number = runtime::parse_integer(digits);
  if (!number || digits.starts_with('-')) return wrong_offset(text);
  if (text.starts_with('-')) return *number > 0 ? Result<Start>(Start{"last:" + digits}) : Start{"latest"};
  return Start{.number = number, .from_start = sign};
}

class Consumer {
 public:
  Consumer(const ConsumeOptions& options, NodeSession& session, RecordFormat format)
      : options_(options), session_(session), format_(std::move(format)), out_(options.node.json) {}

  int run(const Start& start) {
    auto position = first_position(start);
    if (!position) return last_exit_code_;
    while (!is_complete()) {
      const auto answer = read_page(*position);
      if (!answer) return stop(answer.error());
      if (!answer->ok()) return stop_refused(*answer);
      heard_ = true;
      failing_ms_ = 0;
      if (const auto printed = print_page(*answer); !printed) return stop(printed.error());
      if (out_.closed()) return exit_ok;
      if (!out_.finish()) return exit_failed;
      if (options_.exit_at_end && at_end(*answer)) break;
      position = "cursor=" + client::percent_encoded(cursor_);
    }
    return exit_ok;
  }

 private:
  bool is_complete() const { return options_.count && records_ >= *options_.count; }

  std::optional<std::string> first_position(const Start& start) {
    if (options_.cursor) {
      cursor_ = *options_.cursor;
      return "cursor=" + client::percent_encoded(cursor_);
    }
    if (!start.number) return "from=" + client::percent_encoded(start.from);
    const auto topic = session_.call("GET", topic_path(options_.topic));
    if (!topic) {
      last_exit_code_ = complain_no_answer(topic.error());
    } else if (!topic->ok()) {
      last_exit_code_ = stop_refused(*topic);
    } else {
      const auto offsets = offsets_of(topic->body, *start.number, start.from_start);
      if (offsets) return "from=" + client::percent_encoded(*offsets);
      last_exit_code_ = complain(offsets.error().message);
    }
    return std::nullopt;
  }

  /// One page; a node that went away is given the timeout to come back once it has answered.
  Result<Answer> read_page(const std::string& position) {
    const auto wanted = options_.count ? std::min(page_records_max, *options_.count - records_) : page_records_max;
    auto target = topic_path(options_.topic) + "/records?" + position + "&limit=" + std::to_string(wanted);
    if (options_.key) target += "&key=" + client::percent_encoded(*options_.key);
    if (options_.partitions) target += "&partitions=" + client::percent_encoded(*options_.partitions);
    if (!options_.exit_at_end) target += "&wait=" + std::to_string(wait_ms);
    for (auto pause = pause_ms_min;; pause = std::min(pause * 2, pause_ms_max)) {
      auto answer = session_.call_text("GET", target, "", options_.exit_at_end ? 0 : wait_ms);
      const bool gone =
          answer ? answer->status == 503
                 : answer.error().code == Errc::leader_not_available || answer.error().code == Errc::request_timed_out;
      if (!gone || !heard_ || failing_ms_ >= session_.timeout_ms()) return answer;
      TROUPE_TRY(session_.pause(pause));
      failing_ms_ += pause;
    }
  }

  Status print_page(const Answer& answer) {
    const auto records = client::json_member(answer.text, "records");
    const auto cursor = Json::parse(client::json_member(answer.text, "cursor").value_or(""), nullptr, false);
    if (!records || !cursor.is_string()) return session_.no_json();
    for (const auto record : client::json_elements(*records)) {
      TROUPE_TRY_ASSIGN(const auto shown_record, parse_shown_record(record));
      if (out_.json()) {
        out_.line(client::on_one_line(record));
      } else {
        out_.text(format_.apply(shown_record, options_.topic, for_terminal_));
      }
      ++records_;
    }
    say_gaps(answer);
    cursor_ = cursor.get<std::string>();
    return ok();
  }

  /// What retention took before it was read is missing, and never silently.
  static void say_gaps(const Answer& answer) {
    for (const auto gap : client::json_elements(client::json_member(answer.text, "gaps").value_or(""))) {
      const auto member = [&](std::string_view name) {
        return runtime::printable(client::json_member(gap, name).value_or("?"), 30);
      };
      complain("partition " + member("p") + ": the records from offset " + member("from") + " up to " + member("to") +
               " no longer exist");
    }
  }

  static bool at_end(const Answer& answer) { return client::json_member(answer.text, "end") == "true"; }

  int stop(const Error& error) {
    (void)out_.finish();
    const int exit_code = error.code == Errc::cancelled ? exit_interrupted : complain_no_answer(error);
    const auto count = std::to_string(records_) + (records_ == 1 ? " record" : " records");
    std::fprintf(stderr, "troupe: %s%s\n", count.c_str(),
                 cursor_.empty() ? "" : ("; go on with --cursor " + cursor_).c_str());
    return exit_code;
  }

  int stop_refused(const Answer& answer) {
    (void)out_.finish();
    return complain(session_.topic_refusal(answer, options_.topic), exit_code_of(answer));
  }

  const ConsumeOptions& options_;
  NodeSession& session_;
  const RecordFormat format_;
  Output out_;
  const bool for_terminal_ = ::isatty(STDOUT_FILENO) == 1;
  std::int64_t records_ = 0;
  std::string cursor_ = {};
  bool heard_ = false;     ///< the node has answered: it exists
  Millis failing_ms_ = 0;  ///< waited for it since
  int last_exit_code_ = exit_failed;
};

}  // namespace

int consume(const ConsumeOptions& options) {
  if (options.group) return consume_group(options);
  auto format = RecordFormat::parse(options.format);
  if (!format) return complain(format.error().message, exit_usage);
  const auto start = parse_offset(options.offset.value_or("start"));
  if (!start) return complain(start.error().message, exit_usage);
  if (options.partitions && options.key)
    return complain("-p and -k exclude each other: a key is in one partition", exit_usage);
  if (options.partitions && options.partitions->find_first_not_of("0123456789,") != std::string::npos)
    return complain("-p " + runtime::quote(*options.partitions) + ": expected partitions with commas, as in 0,3",
                    exit_usage);
  if (options.count && *options.count < 1) return complain("-n: expected 1 or more", exit_usage);
  auto session = NodeSession::open(options.node, true);
  if (!session) return complain(session.error().message, exit_usage);
  return Consumer(options, **session, std::move(*format)).run(*start);
}

}  // namespace troupe::cli
