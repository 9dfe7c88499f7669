#include "core/metadata/command_codec.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <utility>

#include "base/byte_codec.hpp"

namespace troupe::metadata {
namespace {

constexpr std::uint8_t version = 1;
constexpr Millis timeout_ms_max = Millis{24} * 3600 * 1000;
constexpr std::size_t sentence_bytes_max = 4U << 10;

// --- parts

class Out {
 public:
  explicit Out(ByteBuffer& buffer) : out_(buffer) {}

  template <class Int>
  void integer(Int value) {
    out_.integer(value);
  }
  void flag(bool value) { out_.integer(static_cast<std::uint8_t>(value ? 1 : 0)); }
  void text(std::string_view value) {
    out_.integer(static_cast<std::uint32_t>(value.size()));
    out_.bytes(as_bytes(value));
  }
  void uuid(const Uuid& value) { out_.bytes(std::as_bytes(std::span{value.bytes()})); }
  void optional(const std::optional<std::int32_t>& value) {
    flag(value.has_value());
    if (value) integer(*value);
  }
  void requester(Requester value) { integer(static_cast<std::uint8_t>(value)); }

 private:
  ByteWriter out_;
};

/// Reads fields; after the first that is not right all are empty, and `end` says so.
class In {
 public:
  explicit In(ByteView bytes) : in_(bytes) {}

  template <class Int>
  Int integer(Int min = std::numeric_limits<Int>::min(), Int max = std::numeric_limits<Int>::max()) {
    const auto value = in_.integer<Int>();
    if (!value || *value < min || *value > max) {
      wrong_ = true;
      return Int{};
    }
    return *value;
  }
  bool flag() { return integer<std::uint8_t>(0, 1) == 1; }
  std::string text(std::size_t size_max = command_bytes_max) {
    const auto size = integer<std::uint32_t>();
    if (wrong_ || size > size_max) {
      wrong_ = true;
      return {};
    }
    const auto bytes = in_.bytes(size);
    if (!bytes) {
      wrong_ = true;
      return {};
    }
    return std::string(as_text(*bytes));
  }
  Uuid uuid() {
    const auto bytes = in_.bytes(16);
    if (!bytes) {
      wrong_ = true;
      return {};
    }
    std::array<std::uint8_t, 16> raw{};
    std::ranges::transform(*bytes, raw.begin(), [](std::byte one) { return std::to_integer<std::uint8_t>(one); });
    return Uuid{raw};
  }
  std::optional<std::int32_t> optional() {
    if (!flag()) return std::nullopt;
    return integer<std::int32_t>();
  }
  Requester requester() { return static_cast<Requester>(integer<std::uint8_t>(0, 1)); }
  /// A count of things that take at least `bytes_each`.
  std::size_t count(std::size_t bytes_each, std::size_t max = command_bytes_max) {
    const auto count = integer<std::uint32_t>();
    if (count > max || count > in_.remaining() / bytes_each) wrong_ = true;
    return wrong_ ? 0 : count;
  }

  bool wrong() const { return wrong_ || in_.failed(); }
  bool end() const { return !wrong() && in_.remaining() == 0; }

 private:
  ByteReader in_;
  bool wrong_ = false;
};

// --- commands, in the order of the variant: `write` and `read` of each

void write(Out& out, const CreateTopicCommand& command) {
  const auto& request = command.request;
  out.requester(command.requester);
  out.text(request.name);
  out.optional(request.partitions);
  out.optional(request.replication_factor);
  out.integer(static_cast<std::uint32_t>(request.config.size()));
  for (const auto& [name, value] : request.config) {
    out.text(name);
    out.text(value);
  }
  out.flag(request.validate_only);
  out.flag(request.internal);
  out.uuid(command.topic_id);
  out.integer(static_cast<std::uint32_t>(command.earlier_ids.size()));
  for (const auto& id : command.earlier_ids) out.uuid(id);
}
void read(In& in, CreateTopicCommand& command) {
  auto& request = command.request;
  command.requester = in.requester();
  request.name = in.text();
  request.partitions = in.optional();
  request.replication_factor = in.optional();
  for (auto left = in.count(8); left > 0; --left) {
    auto name = in.text();
    request.config[std::move(name)] = in.text();
  }
  request.validate_only = in.flag();
  request.internal = in.flag();
  command.topic_id = in.uuid();
  for (auto left = in.count(16, command_attempts_max); left > 0; --left) command.earlier_ids.push_back(in.uuid());
}

void write(Out& out, const AlterTopicCommand& command) {
  const auto& request = command.request;
  out.requester(command.requester);
  out.text(request.name);
  out.optional(request.partitions);
  out.integer(static_cast<std::uint32_t>(request.config.size()));
  for (const auto& [name, value] : request.config) {
    out.text(name);
    out.flag(value.has_value());
    if (value) out.text(*value);
  }
  out.flag(request.validate_only);
}
void read(In& in, AlterTopicCommand& command) {
  auto& request = command.request;
  command.requester = in.requester();
  request.name = in.text();
  request.partitions = in.optional();
  for (auto left = in.count(5); left > 0; --left) {
    auto& value = request.config[in.text()];
    value = in.flag() ? std::optional{in.text()} : std::nullopt;
  }
  request.validate_only = in.flag();
}

void write(Out& out, const DeleteTopicCommand& command) {
  out.requester(command.requester);
  out.text(command.name);
}
void read(In& in, DeleteTopicCommand& command) {
  command.requester = in.requester();
  command.name = in.text();
}

void write(Out& out, const RegisterBrokerCommand& command) {
  const auto& broker = command.broker;
  out.integer(broker.id.value());
  out.text(broker.host);
  out.integer(broker.port);
  out.text(broker.cluster_host);
  out.integer(broker.cluster_port);
  out.text(broker.rack);
  out.uuid(command.incarnation);
}
void read(In& in, RegisterBrokerCommand& command) {
  auto& broker = command.broker;
  broker.id = BrokerId{in.integer<std::int32_t>(0)};
  broker.host = in.text(metadata_string_bytes_max);
  broker.port = in.integer<std::uint16_t>();
  broker.cluster_host = in.text(metadata_string_bytes_max);
  broker.cluster_port = in.integer<std::uint16_t>();
  broker.rack = in.text(metadata_string_bytes_max);
  command.incarnation = in.uuid();
}

// --- results

void write(Out&, const std::monostate&) {}
void read(In&, std::monostate&) {}
void write(Out& out, const TopicId& id) { out.uuid(id); }
void read(In& in, TopicId& id) { id = in.uuid(); }

// --- answers

void write(Out& out, const CommandDone& answer);
void read(In& in, CommandDone& answer);
void write(Out& out, const CommandRefused& answer) {
  out.integer(answer.applied.value());
  out.integer(static_cast<std::uint8_t>(answer.error.code));
  out.text(std::string_view(answer.error.message).substr(0, sentence_bytes_max));
}
void read(In& in, CommandRefused& answer) {
  answer.applied = Offset{in.integer<std::int64_t>(0)};
  answer.error.code = static_cast<Errc>(in.integer<std::uint8_t>(1));
  answer.error.message = in.text(sentence_bytes_max);
}
void write(Out& out, const NotController& answer) { out.integer(answer.controller.value()); }
void read(In& in, NotController& answer) { answer.controller = BrokerId{in.integer<std::int32_t>(-1)}; }

// --- one of several: its place in the variant, and its fields

template <class Variant>
void write_one_of(Out& out, const Variant& value) {
  out.integer(static_cast<std::uint8_t>(value.index()));
  std::visit([&](const auto& one) { write(out, one); }, value);
}

template <class Variant, std::size_t... index>
void read_one_of(In& in, Variant& value, std::index_sequence<index...>) {
  const auto type = in.integer<std::uint8_t>(0, static_cast<std::uint8_t>(sizeof...(index) - 1));
  if (in.wrong()) return;
  ((type == index ? read(in, value.template emplace<index>()) : void()), ...);
}
template <class Variant>
void read_one_of(In& in, Variant& value) {
  read_one_of(in, value, std::make_index_sequence<std::variant_size_v<Variant>>{});
}

void write(Out& out, const CommandDone& answer) {
  out.integer(answer.applied.value());
  write_one_of(out, answer.result);
}
void read(In& in, CommandDone& answer) {
  answer.applied = Offset{in.integer<std::int64_t>(0)};
  read_one_of(in, answer.result);
}

Error not_ours(const char* what) {
  return {Errc::corrupt_message, std::string(what) + " from another node cannot be read: damaged, or of a newer version"};
}

}  // namespace

ByteBuffer encode_command(const SentCommand& command) {
  ByteBuffer bytes;
  Out out{bytes};
  out.integer(version);
  out.integer(std::clamp(command.timeout_ms, Millis{0}, timeout_ms_max));
  write_one_of(out, command.command);
  return bytes;
}

Result<SentCommand> decode_command(ByteView bytes) {
  In in{bytes};
  SentCommand command;
  in.integer<std::uint8_t>(version, version);
  command.timeout_ms = in.integer<Millis>(0, timeout_ms_max);
  read_one_of(in, command.command);
  if (!in.end()) return not_ours("a command");
  return command;
}

ByteBuffer encode_command_answer(const CommandAnswer& answer) {
  ByteBuffer bytes;
  Out out{bytes};
  out.integer(version);
  write_one_of(out, answer);
  return bytes;
}

Result<CommandAnswer> decode_command_answer(ByteView bytes) {
  In in{bytes};
  CommandAnswer answer;
  in.integer<std::uint8_t>(version, version);
  read_one_of(in, answer);
  if (!in.end()) return not_ours("an answer");
  return answer;
}

}  // namespace troupe::metadata
