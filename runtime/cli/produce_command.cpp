#include "runtime/cli/produce_command.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/base64.hpp"
#include "runtime/client/line_reader.hpp"
#include "runtime/config/value_text.hpp"

namespace troupe::cli {
namespace {

// A batch is well below the node's limits for one body (8 MiB, 100,000 JSON values), a single record apart.
constexpr std::size_t batch_records_max = 1000;
constexpr std::size_t batch_bytes_max = std::size_t{1} << 20;
constexpr std::size_t line_bytes_max = std::size_t{64} << 20;

std::string base64(std::string_view bytes) {
  std::string out = "\"";
  append_base64(out, as_bytes(bytes));
  return out + "\"";
}

/// Headers as the last members of a record: as an object of strings, or in base64 when a name is repeated or a value is no text.
Result<std::string> headers_json(const std::vector<std::string>& headers) {
  if (headers.empty()) return std::string();
  auto plain_headers = Json::object();
  std::string encoded;
  bool is_plain = true;
  for (const auto& header : headers) {
    const auto equals = header.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error{Errc::invalid_argument, "-H " + runtime::quote(header) + ": expected NAME=VALUE"};
    }
    const auto name = header.substr(0, equals);
    const auto value = header.substr(equals + 1);
    const auto quoted_name = quoted(as_bytes(name));
    if (!quoted_name) return Error{Errc::invalid_argument, "-H " + runtime::quote(header) + ": the name is not UTF-8"};
    is_plain = is_plain && !plain_headers.contains(name) && quoted(as_bytes(value));
    if (is_plain) plain_headers[name] = value;
    encoded += (encoded.empty() ? "[" : ",[") + *quoted_name + "," + base64(value) + "]";
  }
  return is_plain ? ",\"headers\":" + plain_headers.dump() : ",\"hb\":[" + encoded + "]";
}

class Producer {
 public:
  Producer(const ProduceOptions& options, NodeSession& session, std::string tail)
      : options_(options), session_(session), out_(options.node.json), tail_(std::move(tail)) {}

  /// Adds a record; sends the batch when it is full. Errors: as NodeSession::call.
  Status add(std::optional<std::string_view> key, std::optional<std::string_view> value) {
    auto record = "{" + (value ? "\"vb\":" + base64(*value) : std::string("\"value\":null"));
    if (key) {
      const auto text = quoted(as_bytes(*key));
      record += text ? ",\"key\":" + *text : ",\"kb\":" + base64(*key);
    }
    record += tail_ + "}";
    if (count_ > 0 && (count_ >= batch_records_max || body_.size() + record.size() > batch_bytes_max)) TROUPE_TRY(flush());
    body_ += (count_ == 0 ? "" : ",") + record;
    ++count_;
    return ok();
  }

  Status flush() {
    if (count_ == 0 || failed_) return ok();
    const auto first = sent_ + 1;
    auto body = "{\"acks\":\"" + options_.acks + "\",\"records\":[" + body_ + "]}";
    const auto answer = session_.call_text("POST", topic_path(options_.topic) + "/records", std::move(body));
    sent_ += count_;
    const auto count = std::exchange(count_, 0);
    body_.clear();
    if (!answer) return answer.error().with_context(lines(first, count));
    if (answer->ok()) {
      take_results(array_of(answer->body, "results"), first, count);
    } else {
      failed_ = true;
      exit_code_ = exit_code_of(*answer);
      complain(lines(first, count) + ": " + session_.topic_refusal(*answer, options_.topic));
    }
    return ok();
  }

  bool failed() const { return failed_; }

  int finish(const Status& status) {
    if (!status) {
      complain_no_answer(status.error());
      exit_code_ = exit_code_of(status.error());
      if (status.error().code == Errc::request_timed_out) complain("these records may have been written, or not");
    }
    if (!out_.finish()) return exit_failed;
    std::fprintf(stderr, "troupe: %zu record%s to %s\n", acknowledged_, acknowledged_ == 1 ? "" : "s",
                 options_.topic.c_str());
    return exit_code_;
  }

 private:
  static std::string lines(std::size_t first, std::size_t count) {
    if (count == 1) return "record " + std::to_string(first);
    return "records " + std::to_string(first) + " to " + std::to_string(first + count - 1);
  }

  void take_results(const Json& results, std::size_t first, std::size_t count) {
    if (results.size() != count) {
      failed_ = true;
      exit_code_ = exit_failed;
      complain(lines(first, count) + ": the node answered for " + std::to_string(results.size()) + " of them");
      return;
    }
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (out_.json()) out_.print(results[i]);
      const auto error = results[i].is_object() ? results[i].find("err") : results[i].end();
      if (error == results[i].end()) {
        ++acknowledged_;
      } else {
        exit_code_ = complain(lines(first + i, 1) + ": " + text_of(*error, "msg"));
      }
    }
    // Whoever reads the results waits for them now.
    std::fflush(stdout);
  }

  const ProduceOptions& options_;
  NodeSession& session_;
  Output out_;
  const std::string tail_;  ///< of each record: headers, partition
  std::string body_ = {};
  std::size_t count_ = 0;  ///< records in `body_`
  std::size_t sent_ = 0;
  std::size_t acknowledged_ = 0;
  bool failed_ = false;  ///< a whole request was refused: the next one would be, too
  int exit_code_ = exit_ok;
};

Status produce_lines(const ProduceOptions& options, int descriptor, Producer& producer) {
  client::LineReader reader(descriptor, line_bytes_max);
  for (std::size_t number = 1; !producer.failed(); ++number) {
    if (!reader.is_ready()) TROUPE_TRY(producer.flush());
    auto line = reader.next();
    // What came before a line that cannot be used is sent.
    if (!line) {
      TROUPE_TRY(producer.flush());
      return line.error().with_context("line " + std::to_string(number));
    }
    if (!*line) break;
    std::optional<std::string_view> key = options.key;
    std::string_view value = **line;
    if (options.key_delimiter) {
      const auto at = value.find(*options.key_delimiter);
      if (at == std::string_view::npos) {
        TROUPE_TRY(producer.flush());
        return Error{Errc::invalid_record, "line " + std::to_string(number) +
                                               ": no key: " + runtime::quote(*options.key_delimiter) + " is not in it"};
      }
      key = value.substr(0, at);
      value.remove_prefix(at + options.key_delimiter->size());
    }
    TROUPE_TRY(producer.add(key, value));
  }
  return producer.flush();
}

}  // namespace

int produce(const ProduceOptions& options) {
  if (options.key && options.key_delimiter) return complain("--key and -K exclude each other", exit_usage);
  if (options.key_delimiter && options.key_delimiter->empty()) return complain("-K: the delimiter is empty", exit_usage);
  auto tail = headers_json(options.headers);
  if (!tail) return complain(tail.error().message, exit_usage);
  if (options.partition) *tail += ",\"partition\":" + std::to_string(*options.partition);
  auto session = NodeSession::open(options.node);
  if (!session) return complain(session.error().message, exit_usage);

  Producer producer(options, **session, std::move(*tail));
  if (options.tombstone) {
    if (!options.key) return complain("--tombstone needs --key: it deletes what that key stands for", exit_usage);
    auto status = producer.add(options.key, std::nullopt);
    if (status) status = producer.flush();
    return producer.finish(status);
  }
  if (options.file == "-") return producer.finish(produce_lines(options, STDIN_FILENO, producer));
  const int descriptor = ::open(options.file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return complain(options.file + ": " + std::strerror(errno), errno == ENOENT ? exit_not_found : exit_failed);
  }
  const auto status = produce_lines(options, descriptor, producer);
  ::close(descriptor);
  return producer.finish(status);
}

}  // namespace troupe::cli
