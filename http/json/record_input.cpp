#include "http/json/record_input.hpp"

#include <charconv>
#include <cstring>
#include <utility>

#include "base/base64.hpp"
#include "http/json/json_check.hpp"
#include "http/json/json_slicer.hpp"
#include "http/json/produce_body.hpp"

namespace troupe::http {
namespace {

using Kind = InputProblem::Kind;
using Problem = std::optional<InputProblem>;

constexpr std::string_view internal_header_prefix = "__troupe";
constexpr std::size_t records_expected = 16;

bool is_v1(ProduceFormat format) { return format <= ProduceFormat::v1_lines; }

/// One record's members while they are read. A bit a member says which have been there.
struct Members {
  enum : unsigned { key = 1, value = 2, headers = 4, timestamp = 8, partition = 16 };
  unsigned seen = 0;
};

class Reader {
 public:
  Reader(ByteBuffer& body, ProduceFormat format, const Limits& limits, ProduceBody& out)
      : body_(body), format_(format), limits_(limits), out_(out) {}

  Problem read();

 private:
  Problem read_document(char* begin, char* end);
  Problem read_lines();
  Problem read_records(JsonSlicer& document);
  Problem read_record(JsonSlicer& members);
  Problem read_member(std::string_view name, JsonSlice value, ProduceRecord& record, Members& members);
  Problem read_key(JsonSlice value, ProduceRecord& record);
  Problem read_value(JsonSlice value, ProduceRecord& record);
  Problem read_base64(JsonSlice value, std::string_view member, std::optional<ByteView>& out);
  Problem read_partition(JsonSlice value, ProduceRecord& record);
  Problem read_timestamp(JsonSlice value, std::string_view member, ProduceRecord& record);
  Problem read_header_object(JsonSlice value, ProduceRecord& record);
  Problem read_header_pairs(JsonSlice value, ProduceRecord& record);
  Problem read_header_list(JsonSlice value, ProduceRecord& record);
  Problem add_header(ByteView name, std::optional<ByteView> value, ProduceRecord& record);
  Problem finish_record(ProduceRecord record, const Members& members);
  Problem read_acks(JsonSlice value);
  Problem count(const JsonSlicer& slicer, std::size_t around) const;
  std::string_view plain(std::string_view name);

  InputProblem problem(Kind kind, std::string_view member, std::string what) const;
  bool once(Members& members, unsigned member) const {
    const bool first = (members.seen & member) == 0;
    members.seen |= member;
    return first;
  }

  ByteBuffer& body_;
  const ProduceFormat format_;
  const Limits& limits_;
  ProduceBody& out_;
  std::size_t index_ = 0;  ///< of the record that is read, or its line
  bool inline_ = false;
  std::size_t elements_ = 0;  ///< of lines that have been read
  std::string plain_name_;
};

InputProblem Reader::problem(Kind kind, std::string_view member, std::string what) const {
  std::string where;
  if (format_ == ProduceFormat::v1_lines) {
    where = "line " + std::to_string(index_ + 1);
  } else if (!inline_) {
    where = "records[" + std::to_string(index_) + "]";
  }
  if (!member.empty()) where += (where.empty() ? "" : format_ == ProduceFormat::v1_lines ? ": " : ".") + std::string(member);
  return {kind, where + (where.empty() ? "" : ": ") + std::move(what)};
}

/// Holds what the body had so far against the limit: of earlier lines, of `slicer`, and of what is around it.
Problem Reader::count(const JsonSlicer& slicer, std::size_t around) const {
  if (elements_ + slicer.elements() + around > limits_.json_elements_max) {
    return InputProblem{Kind::syntax, "the JSON has more than " + std::to_string(limits_.json_elements_max) + " values"};
  }
  return std::nullopt;
}

/// A member's name without escapes: "\u0076alue" is "value". Valid until the next call; the document stays as it is, because an inline
/// record is walked over twice.
std::string_view Reader::plain(std::string_view name) {
  if (name.find('\\') == std::string_view::npos) return name;
  plain_name_ = "\"" + std::string(name) + "\"";
  const auto bytes = unescape_in_place({plain_name_.data(), plain_name_.data() + plain_name_.size()});
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Problem Reader::read() {
  // simdjson reads some bytes beyond the end.
  if (body_.capacity() < body_.size() + json_padding_bytes) grow_capacity(body_, body_.size() + json_padding_bytes);
  if (format_ == ProduceFormat::v1_lines) return read_lines();
  auto* const begin = reinterpret_cast<char*>(body_.data());
  return read_document(begin, begin + body_.size());
}

Problem Reader::read_lines() {
  auto* at = reinterpret_cast<char*>(body_.data());
  auto* const end = at + body_.size();
  for (; at < end; ++index_) {
    auto* line_end = static_cast<char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
    if (line_end == nullptr) line_end = end;
    const auto line = JsonSlicer::root(at, line_end);
    at = line_end + 1;
    if (line.begin >= line.end) continue;
    if (auto wrong = check_json(line.begin, line.text().size())) return problem(Kind::syntax, {}, std::move(*wrong));
    if (!line.is_object()) return problem(Kind::shape, {}, "is no object");
    JsonSlicer members(line);
    if (auto wrong = read_record(members)) return wrong;
    if (auto wrong = count(members, 0)) return wrong;
    elements_ += members.elements();
  }
  if (out_.input.records.empty()) return InputProblem{Kind::missing, "there is no record"};
  return std::nullopt;
}

Problem Reader::read_document(char* begin, char* end) {
  if (begin == end) return InputProblem{Kind::missing, "the body is empty"};
  if (auto wrong = check_json(begin, static_cast<std::size_t>(end - begin))) {
    return InputProblem{Kind::syntax, std::move(*wrong)};
  }
  const auto root = JsonSlicer::root(begin, end);
  if (root.is_null()) return InputProblem{Kind::missing, "the body is null"};
  if (!root.is_object()) return InputProblem{Kind::shape, "the body is no object"};

  bool has_records = false;
  JsonSlicer members(root);
  std::string_view name;
  while (members.next(name)) {
    name = plain(name);
    if (name == "records") {
      if (std::exchange(has_records, true)) return InputProblem{Kind::shape, "the field \"records\" is there twice"};
      if (auto wrong = read_records(members)) return wrong;
      continue;
    }
    const auto value = members.take();
    if (is_v1(format_)) {
      if (name == "acks") {
        if (auto wrong = read_acks(value)) return wrong;
      }
    } else if (name != "key_schema" && name != "key_schema_id" && name != "value_schema" && name != "value_schema_id") {
      return InputProblem{Kind::unknown_field, "Unrecognized field: " + std::string(name.substr(0, 200))};
    }
  }
  if (auto wrong = count(members, 0)) return wrong;
  if (has_records && out_.input.records.empty()) return InputProblem{Kind::missing, "the field \"records\" is empty"};
  if (has_records) return std::nullopt;
  if (format_ != ProduceFormat::v1_or_inline) return InputProblem{Kind::missing, "the field \"records\" is missing"};
  inline_ = true;
  JsonSlicer record(root);
  return read_record(record);
}

Problem Reader::read_acks(JsonSlice value) {
  const auto text = value.text();
  if (text == "\"quorum\"" || text == "null") {
    out_.acks = Acks::quorum;
  } else if (text == "\"leader\"") {
    out_.acks = Acks::leader;
  } else if (text == "\"none\"") {
    out_.acks = Acks::none;
  } else {
    return InputProblem{Kind::shape, "acks: is \"none\", \"leader\" or \"quorum\""};
  }
  return std::nullopt;
}

Problem Reader::read_records(JsonSlicer& document) {
  if (document.at_null()) return InputProblem{Kind::missing, "the field \"records\" is null"};
  if (!document.at_array()) return InputProblem{Kind::shape, "records: is no array"};
  auto elements = document.enter();
  std::string_view none;
  for (; elements.next(none); ++index_) {
    if (!elements.at_object()) return problem(Kind::shape, {}, "is no object");
    auto members = elements.enter();
    if (auto wrong = read_record(members)) return wrong;
    elements.leave(members);
    if (auto wrong = count(elements, document.elements())) return wrong;
  }
  document.leave(elements);
  return std::nullopt;
}

Problem Reader::read_record(JsonSlicer& members) {
  ProduceRecord record;
  Members seen;
  std::string_view name;
  JsonSlice value;
  while (members.next(name, value)) {
    name = plain(name);
    if (auto wrong = read_member(name, value, record, seen)) return wrong;
    if (members.depth() > limits_.json_depth_max) {
      return problem(Kind::syntax, name, "nested deeper than " + std::to_string(limits_.json_depth_max) + " levels");
    }
  }
  return finish_record(std::move(record), seen);
}

Problem Reader::read_member(std::string_view name, JsonSlice value, ProduceRecord& record, Members& members) {
  const bool v1 = is_v1(format_);
  const auto twice = [&] { return problem(Kind::shape, name, "is there twice, or in two forms"); };
  if (name == "key") return once(members, Members::key) ? read_key(value, record) : twice();
  if (name == "value") return once(members, Members::value) ? read_value(value, record) : twice();
  if (name == "partition") return once(members, Members::partition) ? read_partition(value, record) : twice();
  if (name == (v1 ? "ts" : "timestamp")) {
    return once(members, Members::timestamp) ? read_timestamp(value, name, record) : twice();
  }
  if (name == "headers") {
    if (!once(members, Members::headers)) return twice();
    return v1 ? read_header_object(value, record) : read_header_list(value, record);
  }
  if (!v1) {
    return InputProblem{Kind::unknown_field, "Unrecognized field: " + std::string(name.substr(0, 200))};
  }
  if (name == "kb") return once(members, Members::key) ? read_base64(value, name, record.key) : twice();
  if (name == "vb") return once(members, Members::value) ? read_base64(value, name, record.value) : twice();
  if (name == "hb") return once(members, Members::headers) ? read_header_pairs(value, record) : twice();
  return std::nullopt;
}

Problem Reader::read_base64(JsonSlice value, std::string_view member, std::optional<ByteView>& out) {
  if (value.is_null()) return std::nullopt;
  if (!value.is_string()) return problem(Kind::shape, member, "is no base64 string");
  const auto text = unescape_in_place(value);
  const auto decoded = decode_base64(as_text(text));
  if (!decoded) return problem(Kind::not_base64, member, "is no valid base64 string (RFC 4648, with padding)");
  // Bytes are fewer than their base64: they fit where it was.
  if (!decoded->empty()) std::memcpy(value.begin, decoded->data(), decoded->size());
  out = as_bytes({value.begin, decoded->size()});
  return std::nullopt;
}

Problem Reader::read_key(JsonSlice value, ProduceRecord& record) {
  if (value.is_null()) return std::nullopt;
  if (format_ == ProduceFormat::v2_binary) return read_base64(value, "key", record.key);
  if (value.is_string()) {
    record.key = unescape_in_place(value);
  } else if (format_ == ProduceFormat::v2_text) {
    return problem(Kind::shape, "key", "is no string");
  } else {
    record.key = value.bytes();
  }
  return std::nullopt;
}

Problem Reader::read_value(JsonSlice value, ProduceRecord& record) {
  if (value.is_null()) return std::nullopt;
  if (format_ == ProduceFormat::v2_binary) return read_base64(value, "value", record.value);
  if (format_ == ProduceFormat::v2_text) {
    if (!value.is_string()) return problem(Kind::shape, "value", "is no string");
    record.value = unescape_in_place(value);
  } else {
    record.value = value.bytes();
  }
  return std::nullopt;
}

Problem Reader::read_partition(JsonSlice value, ProduceRecord& record) {
  if (value.is_null()) return std::nullopt;
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(value.begin, value.end, number);
  if (error != std::errc{} || end != value.end) return problem(Kind::shape, "partition", "is no number of a partition");
  record.partition = PartitionId{number};
  return std::nullopt;
}

Problem Reader::read_timestamp(JsonSlice value, std::string_view member, ProduceRecord& record) {
  if (value.is_null()) return std::nullopt;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.begin, value.end, number);
  if (error != std::errc{} || end != value.end || number < 0) {
    return problem(Kind::shape, member, "is no whole number of milliseconds since 1970");
  }
  record.timestamp = TimestampMs{number};
  return std::nullopt;
}

Problem Reader::add_header(ByteView name, std::optional<ByteView> value, ProduceRecord& record) {
  if (as_text(name).starts_with(internal_header_prefix)) {
    return problem(Kind::shape, "headers", "names that begin with \"__troupe\" are the system's own");
  }
  if (record.headers.size() >= limits_.record_headers_max) {
    return problem(Kind::too_large, "headers", "are more than " + std::to_string(limits_.record_headers_max));
  }
  record.headers.push_back({name, value});
  return std::nullopt;
}

/// {"name":"text"}
Problem Reader::read_header_object(JsonSlice value, ProduceRecord& record) {
  if (value.is_null()) return std::nullopt;
  if (!value.is_object()) return problem(Kind::shape, "headers", "is no object of strings");
  JsonSlicer members(value);
  std::string_view name;
  JsonSlice text;
  while (members.next(name, text)) {
    auto* const quote = const_cast<char*>(name.data()) - 1;
    const auto plain_name = unescape_in_place({quote, quote + name.size() + 2});
    std::optional<ByteView> content;
    if (text.is_string()) {
      content = unescape_in_place(text);
    } else if (!text.is_null()) {
      return problem(Kind::shape, "headers", "is no object of strings");
    }
    if (auto wrong = add_header(plain_name, content, record)) return wrong;
  }
  return std::nullopt;
}

/// [["name","base64"]]
Problem Reader::read_header_pairs(JsonSlice value, ProduceRecord& record) {
  const auto wrong_shape = [&] { return problem(Kind::shape, "hb", "is no array of [name, base64]"); };
  if (value.is_null()) return std::nullopt;
  if (!value.is_array()) return wrong_shape();
  JsonSlicer pairs(value);
  std::string_view none;
  JsonSlice pair;
  while (pairs.next(none, pair)) {
    if (!pair.is_array()) return wrong_shape();
    JsonSlicer parts(pair);
    JsonSlice name, content, more;
    if (!parts.next(none, name) || !name.is_string() || !parts.next(none, content) || parts.next(none, more))
      return wrong_shape();
    std::optional<ByteView> decoded;
    if (auto wrong = read_base64(content, "hb", decoded)) return wrong;
    if (auto wrong = add_header(unescape_in_place(name), decoded, record)) return wrong;
  }
  return std::nullopt;
}

/// [{"key":"name","value":"base64"}], as Strimzi has them
Problem Reader::read_header_list(JsonSlice value, ProduceRecord& record) {
  const auto wrong_shape = [&] { return problem(Kind::shape, "headers", "is no array of {\"key\",\"value\"}"); };
  if (value.is_null()) return std::nullopt;
  if (!value.is_array()) return wrong_shape();
  JsonSlicer list(value);
  std::string_view none;
  JsonSlice header;
  while (list.next(none, header)) {
    if (!header.is_object()) return wrong_shape();
    JsonSlicer members(header);
    std::string_view member;
    JsonSlice part;
    std::optional<ByteView> name, content;
    while (members.next(member, part)) {
      member = plain(member);
      if (member == "key" && part.is_string() && !name) {
        name = unescape_in_place(part);
      } else if (member == "value" && !content) {
        if (auto wrong = read_base64(part, "headers", content)) return wrong;
      } else {
        return wrong_shape();
      }
    }
    if (!name) return wrong_shape();
    if (auto wrong = add_header(*name, content, record)) return wrong;
  }
  return std::nullopt;
}

Problem Reader::finish_record(ProduceRecord record, const Members& members) {
  if (is_v1(format_) && (members.seen & Members::value) == 0) {
    return inline_ ? problem(Kind::missing, {}, "neither \"records\" nor a record's \"value\" is there")
                   : problem(Kind::shape, {}, "has no \"value\" (null is one)");
  }
  std::size_t size = (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
  for (const auto& header : record.headers) size += header.key.size() + (header.value ? header.value->size() : 0);
  if (size > limits_.record_bytes_max) {
    return problem(Kind::too_large, {}, "is larger than " + std::to_string(limits_.record_bytes_max) + " bytes");
  }
  if (out_.input.records.empty() && !inline_) out_.input.records.reserve(records_expected);
  out_.input.records.push_back(std::move(record));
  return std::nullopt;
}

}  // namespace

std::optional<InputProblem> read_produce_body(ByteBuffer body, ProduceFormat format, const Limits& limits,
                                              ProduceBody& out) {
  out = {};
  if (auto wrong = Reader(body, format, limits, out).read()) {
    out = {};
    return wrong;
  }
  out.input.memory = Bytes::adopt(std::move(body));
  return std::nullopt;
}

Result<RecordInput> read_v1_records(std::string_view json, const Limits& limits, bool inline_allowed) {
  ByteBuffer body;
  body.reserve(json.size() + json_padding_bytes);
  append_bytes(body, as_bytes(json));
  ProduceBody read;
  const auto format = inline_allowed ? ProduceFormat::v1_or_inline : ProduceFormat::v1;
  if (auto wrong = read_produce_body(std::move(body), format, limits, read)) {
    return Error{wrong->kind == Kind::too_large ? Errc::message_too_large : Errc::invalid_argument,
                 std::move(wrong->message)};
  }
  return std::move(read.input);
}

}  // namespace troupe::http
