#include "core/metadata/command_codec.hpp"

#include <algorithm>
#include <utility>

#include "base/crc32c.hpp"
#include "core/metadata/cluster_codec.hpp"
#include "core/metadata/command_fields.hpp"

namespace troupe::metadata {
namespace {

constexpr std::uint8_t version = 1;
constexpr Millis timeout_ms_max = Millis{24} * 3600 * 1000;
constexpr std::size_t sentence_bytes_max = 4U << 10;

}  // namespace

TopicSeen seen(const TopicImage& topic) {
  ByteBuffer config;
  Out out{config};
  for (const auto& [name, value] : topic.config_overrides) {
    out.text(name);
    out.text(value);
  }
  return {topic.id, topic.partition_count(), crc32c(config)};
}

// What is written and read by type has to be found by the type's namespace.

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
  out.integer(static_cast<std::uint32_t>(request.assignments.size()));
  for (const auto& replicas : request.assignments) out.brokers(replicas);
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
  for (auto left = in.count(4); left > 0; --left) request.assignments.push_back(in.brokers());
  command.topic_id = in.uuid();
  for (auto left = in.count(16, command_attempts_max); left > 0; --left) command.earlier_ids.push_back(in.uuid());
}

void write(Out& out, const std::optional<TopicSeen>& before) {
  out.flag(before.has_value());
  if (!before) return;
  out.uuid(before->id);
  out.integer(before->partitions);
  out.integer(before->config_crc);
}
void read(In& in, std::optional<TopicSeen>& before) {
  before.reset();
  if (!in.flag()) return;
  before.emplace();
  before->id = in.uuid();
  before->partitions = in.integer<std::int32_t>(0);
  before->config_crc = in.integer<std::uint32_t>();
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
  write(out, command.before);
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
  read(in, command.before);
}

void write(Out& out, const DeleteTopicCommand& command) {
  out.requester(command.requester);
  out.text(command.name);
  write(out, command.before);
}
void read(In& in, DeleteTopicCommand& command) {
  command.requester = in.requester();
  command.name = in.text();
  read(in, command.before);
}

void write(Out& out, const std::optional<ClusterSeen>& before) {
  out.flag(before.has_value());
  if (!before) return;
  out.integer(before->applied.value());
  out.integer(static_cast<std::uint32_t>(before->partitions.size()));
  for (const auto& one : before->partitions) {
    out.flag(one.has_value());
    if (!one) continue;
    out.integer(one->leader_epoch.value());
    out.integer(one->partition_epoch.value());
  }
}
void read(In& in, std::optional<ClusterSeen>& before) {
  before.reset();
  if (!in.flag()) return;
  before.emplace();
  before->applied = Offset{in.integer<std::int64_t>(0)};
  for (auto left = in.count(1); left > 0 && !in.wrong(); --left) {
    auto& one = before->partitions.emplace_back();
    if (!in.flag()) continue;
    one.emplace();
    one->leader_epoch = LeaderEpoch{in.integer<std::int32_t>(0)};
    one->partition_epoch = PartitionEpoch{in.integer<std::int32_t>(0)};
  }
}

void write(Out& out, const ClusterCommand& command) {
  write(out, command.request);
  write(out, command.before);
}
void read(In& in, ClusterCommand& command) {
  read(in, command.request);
  read(in, command.before);
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

void write(Out& out, const CommandDone& answer) {
  out.integer(answer.applied.value());
  write_one_of(out, answer.result);
}
void read(In& in, CommandDone& answer) {
  answer.applied = Offset{in.integer<std::int64_t>(0)};
  read_one_of(in, answer.result);
}

namespace {

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
