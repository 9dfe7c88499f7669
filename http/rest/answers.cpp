#include "http/rest/answers.hpp"

#include <array>
#include <charconv>

#include "http/json/record_output.hpp"

namespace troupe::http {

void answer_error(const CallPtr& call, Dialect dialect, const HttpError& error) {
  call->answer(error_response(error, dialect));
}

void answer_error(const CallPtr& call, const Request& request, const HttpError& error) {
  answer_error(call, request.route.dialect, error);
}

HttpError read_error(const Error& error) {
  auto answer = http_error(error);
  if (error.code == Errc::request_timed_out) {
    answer = {.status = 503, .number = 50004, .code = "timeout", .message = shown(error.message), .retry_after_ms = 1000};
  }
  if (error.code == Errc::storage_error) {
    answer = {.status = 500, .number = 50002, .code = "internal", .message = shown(error.message)};
  }
  return answer;
}

metadata::TopicPtr find_topic(Rest& rest, const CallPtr& call, const Request& request) {
  auto topic = rest.broker.topic(request.parameters.front());
  if (!topic) {
    answer_error(call, request, {.status = 404, .number = 40401, .code = "unknown_topic", .message = "Topic not found."});
  }
  return topic;
}

std::optional<PartitionId> find_partition(const CallPtr& call, const Request& request, const metadata::TopicImage& topic,
                                          std::string_view text) {
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 0 || number >= topic.partition_count()) {
    answer_error(call, request, unknown_partition("Partition not found."));
    return std::nullopt;
  }
  return PartitionId{number};
}

std::optional<HttpError> read_number(const Query& query, std::string_view name, std::int64_t min, std::int64_t max,
                                     bool clamped, std::int64_t& out) {
  const auto text = query.find(name);
  if (!text) return std::nullopt;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  const bool all = end == text->data() + text->size() && !text->empty();
  if (all && error == std::errc::result_out_of_range && clamped && text->front() != '-') {
    number = max;
  } else if (!all || error != std::errc{} || number < min || (number > max && !clamped)) {
    return bad_request(std::string(name) + " is a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  }
  out = std::min(number, max);
  return std::nullopt;
}

void append_number(std::string& out, std::int64_t number) {
  std::array<char, 20> digits{};
  out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
}

void append_record_error(std::string& out, const HttpError& error) {
  out += "{\"code\":\"";
  out += error.code;
  out += "\",\"num\":";
  append_number(out, error.number);
  out += ",\"msg\":";
  append_json_string(out, error.message);
  out += '}';
}

}  // namespace troupe::http
