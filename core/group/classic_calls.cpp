#include "core/group/classic_calls.hpp"

#include "core/metadata/command_fields.hpp"

namespace troupe::group {
namespace {

using metadata::In;
using metadata::Out;

/// As large as what a link carries.
constexpr std::size_t blob_bytes_max = std::size_t{16} << 20;

template <class T, class Write>
void write_list(Out& out, const std::vector<T>& list, Write write_one) {
  out.integer(static_cast<std::uint32_t>(list.size()));
  for (const auto& one : list) write_one(one);
}
template <class T, class Read>
void read_list(In& in, std::size_t bytes_each, std::vector<T>& list, Read read_one) {
  list.clear();
  for (auto left = in.count(bytes_each); left > 0 && !in.wrong(); --left) read_one(list.emplace_back());
}

}  // namespace

std::string read_blob(In& in) { return in.text(blob_bytes_max); }

void write(Out& out, const ClassicJoinRequest& one) {
  out.text(one.group);
  out.text(one.member);
  out.text(one.instance_id);
  out.text(one.client_id);
  out.text(one.client_host);
  out.text(one.protocol_type);
  write_list(out, one.protocols, [&](const ClassicProtocol& protocol) {
    out.text(protocol.name);
    out.text(protocol.metadata);
  });
  out.integer(one.session_timeout_ms);
  out.integer(one.rebalance_timeout_ms);
  out.flag(one.takes_id_first);
  out.flag(one.can_skip_assignment);
  out.uuid(one.fresh);
}
void read(In& in, ClassicJoinRequest& one) {
  one.group = in.text();
  one.member = in.text();
  one.instance_id = in.text();
  one.client_id = in.text();
  one.client_host = in.text();
  one.protocol_type = in.text();
  read_list(in, 8, one.protocols, [&](ClassicProtocol& protocol) {
    protocol.name = in.text();
    protocol.metadata = read_blob(in);
  });
  one.session_timeout_ms = in.integer<Millis>();
  one.rebalance_timeout_ms = in.integer<Millis>();
  one.takes_id_first = in.flag();
  one.can_skip_assignment = in.flag();
  one.fresh = in.uuid();
}

void write(Out& out, const ClassicSyncRequest& one) {
  out.text(one.group);
  out.text(one.member);
  out.text(one.instance_id);
  out.integer(one.generation.value());
  out.text(one.protocol_type);
  out.text(one.protocol);
  write_list(out, one.assignments, [&](const ClassicAssignment& assignment) {
    out.text(assignment.member);
    out.text(assignment.assignment);
  });
}
void read(In& in, ClassicSyncRequest& one) {
  one.group = in.text();
  one.member = in.text();
  one.instance_id = in.text();
  one.generation = GroupEpoch{in.integer<std::int32_t>()};
  one.protocol_type = in.text();
  one.protocol = in.text();
  read_list(in, 8, one.assignments, [&](ClassicAssignment& assignment) {
    assignment.member = in.text();
    assignment.assignment = read_blob(in);
  });
}

void write(Out& out, const ClassicHeartbeatRequest& one) {
  out.text(one.group);
  out.text(one.member);
  out.text(one.instance_id);
  out.integer(one.generation.value());
}
void read(In& in, ClassicHeartbeatRequest& one) {
  one.group = in.text();
  one.member = in.text();
  one.instance_id = in.text();
  one.generation = GroupEpoch{in.integer<std::int32_t>()};
}

void write(Out& out, const ClassicLeaveRequest& one) {
  out.text(one.group);
  write_list(out, one.members, [&](const ClassicLeaver& leaver) {
    out.text(leaver.member);
    out.text(leaver.instance_id);
  });
}
void read(In& in, ClassicLeaveRequest& one) {
  one.group = in.text();
  read_list(in, 8, one.members, [&](ClassicLeaver& leaver) {
    leaver.member = in.text();
    leaver.instance_id = in.text();
  });
}

void write(Out& out, const ClassicJoinAnswer& one) {
  out.flag(one.join_again);
  out.text(one.member);
  out.integer(one.generation.value());
  out.text(one.protocol_type);
  out.text(one.protocol);
  out.text(one.leader);
  out.flag(one.skip_assignment);
  write_list(out, one.members, [&](const ClassicPeer& peer) {
    out.text(peer.member);
    out.text(peer.instance_id);
    out.text(peer.metadata);
  });
}
void read(In& in, ClassicJoinAnswer& one) {
  one.join_again = in.flag();
  one.member = in.text();
  one.generation = GroupEpoch{in.integer<std::int32_t>()};
  one.protocol_type = in.text();
  one.protocol = in.text();
  one.leader = in.text();
  one.skip_assignment = in.flag();
  read_list(in, 12, one.members, [&](ClassicPeer& peer) {
    peer.member = in.text();
    peer.instance_id = in.text();
    peer.metadata = read_blob(in);
  });
}

void write(Out& out, const ClassicSyncAnswer& one) {
  out.text(one.protocol_type);
  out.text(one.protocol);
  out.text(one.assignment);
}
void read(In& in, ClassicSyncAnswer& one) {
  one.protocol_type = in.text();
  one.protocol = in.text();
  one.assignment = read_blob(in);
}

}  // namespace troupe::group
