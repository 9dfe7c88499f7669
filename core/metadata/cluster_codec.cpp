#include "core/metadata/cluster_codec.hpp"

#include <concepts>

#include "core/metadata/command_fields.hpp"

namespace troupe::metadata {
namespace {

constexpr std::size_t sentence_bytes_max = 1024;

BrokerEpoch read_epoch(In& in) { return BrokerEpoch{in.integer<std::int64_t>(-1)}; }
std::size_t read_count_of_moves(In& in) { return in.integer<std::uint32_t>(); }
void write_count(Out& out, std::size_t count) {
  out.integer(static_cast<std::uint32_t>(std::min<std::size_t>(count, UINT32_MAX)));
}

}  // namespace

// What is written and read by type has to be found by the type's namespace.

// --- requests, in the order of the variant

void write(Out& out, const RegisterBrokerRequest& one) {
  const auto& broker = one.broker;
  out.integer(broker.id.value());
  out.text(broker.host);
  out.integer(broker.port);
  out.text(broker.cluster_host);
  out.integer(broker.cluster_port);
  out.text(broker.rack);
  out.uuid(one.incarnation);
  out.flag(one.clean);
  out.uuid(one.previous_incarnation);
  out.uuid(broker.directory_id);
}
void read(In& in, RegisterBrokerRequest& one) {
  auto& broker = one.broker;
  broker.id = BrokerId{in.integer<std::int32_t>(0)};
  broker.host = in.text(metadata_string_bytes_max);
  broker.port = in.integer<std::uint16_t>();
  broker.cluster_host = in.text(metadata_string_bytes_max);
  broker.cluster_port = in.integer<std::uint16_t>();
  broker.rack = in.text(metadata_string_bytes_max);
  one.incarnation = in.uuid();
  one.clean = in.flag();
  one.previous_incarnation = in.uuid();
  broker.directory_id = in.uuid();
}

template <class Request>
concept OfOneRun = std::same_as<Request, FenceBrokerRequest> || std::same_as<Request, UnfenceBrokerRequest> ||
    std::same_as<Request, StopBrokerRequest>;
template <OfOneRun Request>
void write(Out& out, const Request& one) {
  out.integer(one.broker.value());
  out.integer(one.broker_epoch.value());
}
template <OfOneRun Request>
void read(In& in, Request& one) {
  one.broker = in.broker();
  one.broker_epoch = read_epoch(in);
}

void write(Out& out, const DrainBrokerRequest& one) {
  out.integer(one.broker.value());
  out.flag(one.drain);
  write_count(out, one.moves_max);
}
void read(In& in, DrainBrokerRequest& one) {
  one.broker = in.broker();
  one.drain = in.flag();
  one.moves_max = read_count_of_moves(in);
}

void write(Out& out, const UnregisterBrokerRequest& one) { out.integer(one.broker.value()); }
void read(In& in, UnregisterBrokerRequest& one) { one.broker = in.broker(); }

void write(Out& out, const IsrProposal& one) {
  out.id(one.partition);
  out.integer(one.leader_epoch.value());
  out.integer(one.partition_epoch.value());
  write_count(out, one.isr.size());
  for (const auto& member : one.isr) {
    out.integer(member.broker.value());
    out.integer(member.broker_epoch.value());
  }
}
void read(In& in, IsrProposal& one) {
  one.partition = in.id();
  one.leader_epoch = LeaderEpoch{in.integer<std::int32_t>(0)};
  one.partition_epoch = PartitionEpoch{in.integer<std::int32_t>(0)};
  for (auto left = in.count(12, In::replicas_max); left > 0 && !in.wrong(); --left) {
    const auto broker = in.broker();
    one.isr.push_back({broker, read_epoch(in)});
  }
}
void write(Out& out, const AlterPartitionsRequest& one) {
  out.integer(one.broker.value());
  out.integer(one.broker_epoch.value());
  write_count(out, one.proposals.size());
  for (const auto& proposal : one.proposals) write(out, proposal);
}
void read(In& in, AlterPartitionsRequest& one) {
  one.broker = in.broker();
  one.broker_epoch = read_epoch(in);
  for (auto left = in.count(32); left > 0 && !in.wrong(); --left) read(in, one.proposals.emplace_back());
}

void write(Out& out, const ElectLeadersRequest& one) {
  write_count(out, one.partitions.size());
  for (const auto& id : one.partitions) out.id(id);
  out.integer(one.to.value());
  out.flag(one.unclean);
}
void read(In& in, ElectLeadersRequest& one) {
  for (auto left = in.count(20); left > 0 && !in.wrong(); --left) one.partitions.push_back(in.id());
  one.to = in.broker();
  one.unclean = in.flag();
}

void write(Out& out, const ReassignPartitionsRequest& one) {
  write_count(out, one.reassignments.size());
  for (const auto& each : one.reassignments) {
    out.id(each.partition);
    out.flag(each.replicas.has_value());
    if (each.replicas) out.brokers(*each.replicas);
  }
}
void read(In& in, ReassignPartitionsRequest& one) {
  for (auto left = in.count(21); left > 0 && !in.wrong(); --left) {
    auto& each = one.reassignments.emplace_back();
    each.partition = in.id();
    if (in.flag()) each.replicas = in.brokers();
  }
}

void write(Out& out, const BalanceLeadersRequest& one) { write_count(out, one.moves_max); }
void read(In& in, BalanceLeadersRequest& one) { one.moves_max = read_count_of_moves(in); }

void write(Out& out, const GiveUpReplicasRequest& one) {
  out.integer(one.broker.value());
  out.integer(one.broker_epoch.value());
  write_count(out, one.partitions.size());
  for (const auto& id : one.partitions) out.id(id);
}
void read(In& in, GiveUpReplicasRequest& one) {
  one.broker = in.broker();
  one.broker_epoch = read_epoch(in);
  for (auto left = in.count(20); left > 0 && !in.wrong(); --left) one.partitions.push_back(in.id());
}

// --- answers

void write(Out& out, const PartitionImage& one) {
  out.integer(one.leader.value());
  out.integer(one.leader_epoch.value());
  out.integer(one.partition_epoch.value());
  out.brokers(one.replicas);
  out.brokers(one.isr);
  out.brokers(one.eligible_leader_replicas);
  out.brokers(one.adding_replicas);
  out.brokers(one.removing_replicas);
  out.integer(one.last_known_leader.value());
  out.brokers(one.replicas_before);
}
void read(In& in, PartitionImage& one) {
  one.leader = in.broker();
  one.leader_epoch = LeaderEpoch{in.integer<std::int32_t>(0)};
  one.partition_epoch = PartitionEpoch{in.integer<std::int32_t>(0)};
  one.replicas = in.brokers();
  one.isr = in.brokers();
  one.eligible_leader_replicas = in.brokers();
  one.adding_replicas = in.brokers();
  one.removing_replicas = in.brokers();
  one.last_known_leader = in.broker();
  one.replicas_before = in.brokers();
}

void write(Out& out, const ClusterRequest& request) { write_one_of(out, request); }
void read(In& in, ClusterRequest& request) { read_one_of(in, request); }

void write(Out& out, const ClusterAnswer& answer) {
  write_count(out, answer.partitions.size());
  for (const auto& one : answer.partitions) {
    out.flag(one.has_value());
    if (one) {
      write(out, *one);
      continue;
    }
    out.integer(static_cast<std::uint8_t>(one.error().code));
    out.text(std::string_view(one.error().message).substr(0, sentence_bytes_max));
  }
  write_count(out, answer.unclean.size());
  for (const auto& one : answer.unclean) {
    out.id(one.partition);
    out.integer(one.leader.value());
    out.integer(one.leader_epoch.value());
    out.flag(one.last_known_leader);
  }
  write_count(out, answer.moved);
  write_count(out, answer.left);
}
void read(In& in, ClusterAnswer& answer) {
  for (auto left = in.count(6); left > 0 && !in.wrong(); --left) {
    if (in.flag()) {
      PartitionImage image;
      read(in, image);
      answer.partitions.emplace_back(std::move(image));
    } else {
      const auto code = static_cast<Errc>(in.integer<std::uint8_t>(1));
      answer.partitions.emplace_back(Error{code, in.text(sentence_bytes_max)});
    }
  }
  for (auto left = in.count(29); left > 0 && !in.wrong(); --left) {
    auto& one = answer.unclean.emplace_back();
    one.partition = in.id();
    one.leader = in.broker();
    one.leader_epoch = LeaderEpoch{in.integer<std::int32_t>(0)};
    one.last_known_leader = in.flag();
  }
  answer.moved = read_count_of_moves(in);
  answer.left = read_count_of_moves(in);
}

}  // namespace troupe::metadata
