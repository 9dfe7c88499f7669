#include "core/operation/operator_calls.hpp"

#include "core/metadata/command_fields.hpp"

namespace troupe::quorum {

using metadata::In;
using metadata::Out;

// What is written and read by type has to be found by the type's namespace.
void write(Out&, const DescribeQuorum&) {}
void read(In&, DescribeQuorum&) {}
void write(Out& out, const AddVoter& one) { out.integer(one.broker.value()); }
void read(In& in, AddVoter& one) { one.broker = BrokerId{in.integer<std::int32_t>(0)}; }
void write(Out& out, const RemoveVoter& one) { out.integer(one.broker.value()); }
void read(In& in, RemoveVoter& one) { one.broker = BrokerId{in.integer<std::int32_t>(0)}; }
void write(Out& out, const TransferLeadership& one) { out.integer(one.to.value()); }
void read(In& in, TransferLeadership& one) { one.to = in.broker(); }

}  // namespace troupe::quorum

namespace troupe::operation {
namespace {

using metadata::In;
using metadata::Out;

// Part of the wire between nodes.
constexpr std::uint8_t version = 1;
constexpr std::size_t text_bytes_max = 4'096;

Error corrupt(const char* what) {
  return {Errc::corrupt_message, std::string(what) + " from another node cannot be read: damaged, or of a newer version"};
}

std::string_view shortened(std::string_view text) { return text.substr(0, text_bytes_max); }

void write(Out& out, const QuorumCall& call) {
  out.integer(call.timeout_ms);
  metadata::write_one_of(out, call.request);
}
void read(In& in, QuorumCall& call) {
  call.timeout_ms = in.integer<Millis>(0);
  metadata::read_one_of(in, call.request);
}
void write(Out&, const TreeCall&) {}
void write(Out&, const BrokersCall&) {}

void write(Out& out, const std::optional<std::int64_t>& value) {
  out.flag(value.has_value());
  if (value) out.integer(*value);
}
std::optional<std::int64_t> read_number(In& in) {
  if (!in.flag()) return std::nullopt;
  return in.integer<std::int64_t>(0);
}

void write(Out& out, const std::vector<quorum::ReplicaReport>& replicas) {
  out.integer(static_cast<std::uint32_t>(replicas.size()));
  for (const auto& one : replicas) {
    out.integer(one.key.id.value());
    out.uuid(one.key.directory_id);
    out.flag(one.near);
    write(out, one.log_end ? std::optional{one.log_end->value()} : std::nullopt);
    write(out, one.last_contact_ms);
  }
}
std::vector<quorum::ReplicaReport> read_replicas(In& in) {
  constexpr std::size_t bytes_each = 4 + 16 + 1 + 1 + 1;
  std::vector<quorum::ReplicaReport> replicas;
  for (auto left = in.count(bytes_each); left > 0 && !in.wrong(); --left) {
    quorum::ReplicaReport one;
    one.key.id = BrokerId{in.integer<std::int32_t>(0)};
    one.key.directory_id = in.uuid();
    one.near = in.flag();
    if (const auto end = read_number(in)) one.log_end = Offset{*end};
    one.last_contact_ms = read_number(in);
    replicas.push_back(one);
  }
  return replicas;
}

}  // namespace

ByteBuffer encode_call(const OperatorCall& call) {
  ByteBuffer bytes;
  Out out(bytes);
  out.integer(version);
  out.integer(static_cast<std::uint8_t>(call.index()));
  std::visit([&](const auto& one) { write(out, one); }, call);
  return bytes;
}

Result<OperatorCall> decode_call(ByteView bytes) {
  In in(bytes);
  in.integer<std::uint8_t>(version, version);
  OperatorCall call;
  const auto type = in.integer<std::uint8_t>(0, std::variant_size_v<OperatorCall> - 1);
  if (type == 0) read(in, call.emplace<QuorumCall>());
  if (type == 1) call = TreeCall{};
  if (type == 2) call = BrokersCall{};
  if (!in.end()) return corrupt("a question about the cluster");
  return call;
}

ByteBuffer encode_report(const quorum::QuorumReport& report) {
  ByteBuffer bytes;
  Out out(bytes);
  out.integer(version);
  out.integer(report.reporter.value());
  out.integer(report.leader.value());
  out.integer(report.epoch.value());
  out.integer(report.high_watermark.value());
  out.integer(report.log_end.value());
  write(out, report.voters);
  write(out, report.observers);
  return bytes;
}

Result<quorum::QuorumReport> decode_report(ByteView bytes) {
  In in(bytes);
  quorum::QuorumReport report;
  in.integer<std::uint8_t>(version, version);
  report.reporter = BrokerId{in.integer<std::int32_t>(0)};
  report.leader = in.broker();
  report.epoch = LeaderEpoch{in.integer<std::int32_t>(0)};
  report.high_watermark = Offset{in.integer<std::int64_t>(0)};
  report.log_end = Offset{in.integer<std::int64_t>(0)};
  report.voters = read_replicas(in);
  report.observers = read_replicas(in);
  if (!in.end()) return corrupt("a report of the quorum");
  return report;
}

ByteBuffer encode_tree(const std::vector<ActorInfo>& tree) {
  ByteBuffer bytes;
  Out out(bytes);
  out.integer(version);
  const auto count = std::min(tree.size(), actors_max);
  out.integer(static_cast<std::uint32_t>(count));
  for (std::size_t i = 0; i < count; ++i) {
    const auto& one = tree[i];
    out.text(shortened(one.kind));
    out.text(shortened(one.name));
    out.text(shortened(one.parent));
    out.text(shortened(one.state));
    out.integer(one.mailbox_depth);
    out.integer(one.messages_handled);
    write(out, one.busy_ms);
    out.integer(one.restarts);
    out.flag(one.last_error.has_value());
    if (one.last_error) out.text(shortened(*one.last_error));
  }
  return bytes;
}

Result<std::vector<ActorInfo>> decode_tree(ByteView bytes) {
  constexpr std::size_t bytes_each = 4 * 4 + 3 * 8 + 2;
  In in(bytes);
  std::vector<ActorInfo> tree;
  in.integer<std::uint8_t>(version, version);
  for (auto left = in.count(bytes_each, actors_max); left > 0 && !in.wrong(); --left) {
    ActorInfo one;
    one.kind = in.text(text_bytes_max);
    one.name = in.text(text_bytes_max);
    one.parent = in.text(text_bytes_max);
    one.state = in.text(text_bytes_max);
    one.mailbox_depth = in.integer<std::uint64_t>();
    one.messages_handled = in.integer<std::uint64_t>();
    one.busy_ms = read_number(in);
    one.restarts = in.integer<std::uint64_t>();
    if (in.flag()) one.last_error = in.text(text_bytes_max);
    tree.push_back(std::move(one));
  }
  if (!in.end()) return corrupt("the actors");
  return tree;
}

ByteBuffer encode_brokers(const std::vector<metadata::BrokerImage>& brokers) {
  const auto reachable = [](const auto& one) { return one.cluster_port != 0; };
  ByteBuffer bytes;
  Out out(bytes);
  out.integer(version);
  out.integer(static_cast<std::uint32_t>(std::ranges::count_if(brokers, reachable)));
  for (const auto& one : brokers) {
    if (!reachable(one)) continue;
    out.integer(one.id.value());
    out.text(shortened(one.cluster_host));
    out.integer(one.cluster_port);
  }
  return bytes;
}

Result<std::vector<metadata::BrokerImage>> decode_brokers(ByteView bytes) {
  constexpr std::size_t bytes_each = 4 + 4 + 2;
  In in(bytes);
  std::vector<metadata::BrokerImage> brokers;
  in.integer<std::uint8_t>(version, version);
  for (auto left = in.count(bytes_each); left > 0 && !in.wrong(); --left) {
    metadata::BrokerImage one;
    one.id = BrokerId{in.integer<std::int32_t>(0)};
    one.cluster_host = in.text(text_bytes_max);
    one.cluster_port = in.integer<std::uint16_t>(1);
    brokers.push_back(std::move(one));
  }
  if (!in.end()) return corrupt("the brokers");
  return brokers;
}

}  // namespace troupe::operation
