#pragma once

#include "core/group/classic_requests.hpp"

namespace troupe::metadata {
class In;
class Out;
}  // namespace troupe::metadata

/// The calls of classic groups and their answers as bytes: the bodies of docs/formats/group-calls.md 40 to 43.
namespace troupe::group {

void write(metadata::Out& out, const ClassicJoinRequest& one);
void write(metadata::Out& out, const ClassicSyncRequest& one);
void write(metadata::Out& out, const ClassicHeartbeatRequest& one);
void write(metadata::Out& out, const ClassicLeaveRequest& one);
void write(metadata::Out& out, const ClassicJoinAnswer& one);
void write(metadata::Out& out, const ClassicSyncAnswer& one);

void read(metadata::In& in, ClassicJoinRequest& one);
void read(metadata::In& in, ClassicSyncRequest& one);
void read(metadata::In& in, ClassicHeartbeatRequest& one);
void read(metadata::In& in, ClassicLeaveRequest& one);
void read(metadata::In& in, ClassicJoinAnswer& one);
void read(metadata::In& in, ClassicSyncAnswer& one);

/// Bytes of a member's, which may be longer than a text.
std::string read_blob(metadata::In& in);

}  // namespace troupe::group
