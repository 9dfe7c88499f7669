#pragma once

#include "core/metadata/cluster_requests.hpp"

/// Requests of the cluster and their answers within commands: docs/formats/metadata-commands.md
namespace troupe::metadata {

class In;
class Out;

void write(Out& out, const RegisterBrokerRequest& request);
void read(In& in, RegisterBrokerRequest& request);
void write(Out& out, const ClusterRequest& request);
void read(In& in, ClusterRequest& request);
void write(Out& out, const ClusterAnswer& answer);
void read(In& in, ClusterAnswer& answer);

}  // namespace troupe::metadata
