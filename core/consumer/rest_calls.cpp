#include "core/consumer/rest_calls.hpp"

#include "core/metadata/command_fields.hpp"

namespace troupe::consumer {
namespace {

using metadata::In;
using metadata::Out;

// Part of the wire between nodes, and of the groups' records.
constexpr std::uint8_t version = 1;
constexpr std::size_t page_bytes_max = std::size_t{16} << 20;
constexpr std::size_t sentence_bytes_max = 4'096;

Error corrupt(const char* what) {
  return {Errc::corrupt_message, std::string(what) + " cannot be read: damaged, or of a newer version"};
}

template <class T, class Write>
void write_list(Out& out, const std::vector<T>& list, Write write_one) {
  out.integer(static_cast<std::uint32_t>(list.size()));
  for (const auto& one : list) write_one(one);
}
template <class T, class Read>
std::vector<T> read_list(In& in, std::size_t bytes_each, Read read_one) {
  std::vector<T> list;
  for (auto left = in.count(bytes_each); left > 0 && !in.wrong(); --left) list.push_back(read_one());
  return list;
}

void write(Out& out, const std::vector<std::string>& texts) {
  write_list(out, texts, [&](const std::string& text) { out.text(text); });
}
std::vector<std::string> read_texts(In& in) {
  return read_list<std::string>(in, 4, [&] { return in.text(); });
}

void write(Out& out, const std::vector<NamedPartition>& list) {
  write_list(out, list, [&](const NamedPartition& one) {
    out.id(one.first);
    out.text(one.second);
  });
}
std::vector<NamedPartition> read_named(In& in) {
  return read_list<NamedPartition>(in, 24, [&] {
    const auto id = in.id();
    return NamedPartition{id, in.text()};
  });
}

// --- calls

void write(Out& out, const RestSubscribe& one) {
  write(out, one.topics);
  out.text(one.pattern);
}
void read(In& in, RestSubscribe& one) {
  one.topics = read_texts(in);
  one.pattern = in.text();
}
void write(Out& out, const RestAssign& one) { write(out, one.partitions); }
void read(In& in, RestAssign& one) { one.partitions = read_named(in); }
void write(Out&, const RestSubscription&) {}
void read(In&, RestSubscription&) {}
void write(Out&, const RestAssignment&) {}
void read(In&, RestAssignment&) {}
void write(Out& out, const RestRead& one) {
  out.integer(one.id);
  out.integer(one.bytes_max);
  out.flag(one.hurry);
}
void read(In& in, RestRead& one) {
  one.id = in.integer<std::uint64_t>();
  one.bytes_max = in.integer<std::uint64_t>(1, page_bytes_max);
  one.hurry = in.flag();
}
void write(Out& out, const RestHurry& one) { out.integer(one.id); }
void read(In& in, RestHurry& one) { one.id = in.integer<std::uint64_t>(); }

void write(Out& out, const RestCommit& one) {
  out.flag(one.positions.has_value());
  if (!one.positions) return;
  write_list(out, *one.positions, [&](const auto& position) {
    out.id(position.first);
    out.integer(position.second.value());
  });
}
void read(In& in, RestCommit& one) {
  if (!in.flag() || in.wrong()) return;
  one.positions = read_list<std::pair<TopicIdPartition, Offset>>(in, 28, [&] {
    const auto id = in.id();
    return std::pair{id, Offset{in.integer<std::int64_t>(0)}};
  });
}

void write(Out& out, const RestSeek& one) {
  write_list(out, one.targets, [&](const auto& entry) {
    const auto& [id, target] = entry;
    out.id(id);
    out.integer(static_cast<std::uint8_t>(target.kind));
    out.integer(target.offset.value());
    out.integer(target.timestamp.value());
  });
}
void read(In& in, RestSeek& one) {
  one.targets = read_list<std::pair<TopicIdPartition, SeekTarget>>(in, 37, [&] {
    const auto id = in.id();
    SeekTarget target;
    target.kind = static_cast<SeekTarget::Kind>(in.integer<std::uint8_t>(0, 3));
    target.offset = Offset{in.integer<std::int64_t>()};
    target.timestamp = TimestampMs{in.integer<std::int64_t>()};
    return std::pair{id, target};
  });
}
void write(Out&, const RestTouch&) {}
void read(In&, RestTouch&) {}
void write(Out&, const RestRemove&) {}
void read(In&, RestRemove&) {}

// --- answers

void write(Out&, const std::monostate&) {}
void read(In&, std::monostate&) {}
void write(Out& out, const RestTopics& one) { write(out, one.topics); }
void read(In& in, RestTopics& one) { one.topics = read_texts(in); }
void write(Out& out, const RestPartitions& one) {
  write_list(out, one.partitions, [&](const auto& partition) {
    out.text(partition.first);
    out.integer(partition.second.value());
  });
}
void read(In& in, RestPartitions& one) {
  one.partitions = read_list<std::pair<std::string, PartitionId>>(in, 8, [&] {
    auto topic = in.text();
    return std::pair{std::move(topic), PartitionId{in.integer<std::int32_t>(0)}};
  });
}
void write(Out& out, const RestPage& one) { out.text(one.text); }
void read(In& in, RestPage& one) { one.text = in.text(page_bytes_max); }
void write(Out& out, const std::vector<CommittedPosition>& list) {
  write_list(out, list, [&](const CommittedPosition& one) {
    out.id(one.partition);
    out.flag(one.next.has_value());
    if (one.next) return out.integer(one.next->value());
    out.integer(static_cast<std::uint8_t>(one.next.error().code));
    out.text(std::string_view(one.next.error().message).substr(0, sentence_bytes_max));
  });
}
void read(In& in, std::vector<CommittedPosition>& list) {
  list = read_list<CommittedPosition>(in, 26, [&] {
    CommittedPosition one{in.id()};
    if (in.flag()) {
      one.next = Offset{in.integer<std::int64_t>()};
    } else {
      const auto code = static_cast<Errc>(in.integer<std::uint8_t>(1));
      one.next = Error{code, in.text(sentence_bytes_max)};
    }
    return one;
  });
}

template <class Variant>
void write_choice(Out& out, const Variant& value) {
  out.integer(static_cast<std::uint8_t>(value.index()));
  std::visit([&](const auto& one) { write(out, one); }, value);
}

template <class Variant, std::size_t... index>
void read_chosen(In& in, std::uint8_t type, Variant& value, std::index_sequence<index...>) {
  ((type == index ? read(in, value.template emplace<index>()) : void()), ...);
}

template <class Variant>
Variant read_choice(In& in) {
  Variant value;
  constexpr auto size = std::variant_size_v<Variant>;
  const auto type = in.integer<std::uint8_t>(0, static_cast<std::uint8_t>(size - 1));
  if (!in.wrong()) read_chosen(in, type, value, std::make_index_sequence<size>{});
  return value;
}

}  // namespace

ByteBuffer encode_definition(const RestDefinition& definition) {
  ByteBuffer bytes;
  Out out(bytes);
  const auto& [options, reading] = definition;
  out.integer(version);
  out.text(options.group);
  out.text(options.name);
  out.integer(static_cast<std::uint8_t>(options.format));
  out.integer(static_cast<std::uint8_t>(options.reset));
  out.flag(options.auto_commit);
  out.integer(options.request_ms_max);
  out.integer(options.fetch_bytes_min);
  out.flag(options.with_metadata);
  write(out, reading.topics);
  out.text(reading.pattern);
  write(out, reading.partitions);
  return bytes;
}

Result<RestDefinition> decode_definition(ByteView bytes) {
  In in(bytes);
  RestDefinition definition;
  auto& [options, reading] = definition;
  in.integer<std::uint8_t>(version, version);
  options.group = in.text();
  options.name = in.text();
  options.format = static_cast<RestFormat>(in.integer<std::uint8_t>(0, 2));
  options.reset = static_cast<OffsetReset>(in.integer<std::uint8_t>(0, 2));
  options.auto_commit = in.flag();
  options.request_ms_max = in.integer<Millis>(0);
  options.fetch_bytes_min = in.integer<std::int64_t>();
  options.with_metadata = in.flag();
  reading.topics = read_texts(in);
  reading.pattern = in.text();
  reading.partitions = read_named(in);
  if (!in.end()) return corrupt("what a consumer instance is");
  return definition;
}

ByteBuffer encode_request(const RestRequest& request) {
  ByteBuffer bytes;
  Out out(bytes);
  out.integer(version);
  out.text(request.group);
  out.text(request.name);
  out.integer(request.epoch);
  write_choice(out, request.call);
  return bytes;
}

Result<RestRequest> decode_request(ByteView bytes) {
  In in(bytes);
  RestRequest request;
  in.integer<std::uint8_t>(version, version);
  request.group = in.text();
  request.name = in.text();
  request.epoch = in.integer<std::int32_t>(0);
  request.call = read_choice<RestCall>(in);
  if (!in.end()) return corrupt("a call to a consumer instance");
  return request;
}

ByteBuffer encode_answer(const RestAnswer& answer) {
  ByteBuffer bytes;
  Out out(bytes);
  out.integer(version);
  write_choice(out, answer);
  return bytes;
}

Result<RestAnswer> decode_answer(ByteView bytes) {
  In in(bytes);
  in.integer<std::uint8_t>(version, version);
  auto answer = read_choice<RestAnswer>(in);
  if (!in.end()) return corrupt("the answer of a consumer instance");
  return answer;
}

}  // namespace troupe::consumer
