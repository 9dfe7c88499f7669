#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "http/gateway.hpp"

/// How a node runs: what the configuration says, typed. runtime/config/schema.cpp names every setting.
namespace troupe::runtime {

/// automatic: text on a terminal, JSON lines elsewhere.
enum class LogFormat : std::uint8_t { automatic, text, json };
/// How the actor system gives work to its threads: one queue for all, or one a thread with stealing.
enum class SchedulerPolicy : std::uint8_t { sharing, stealing };

/// PEM files of mutual TLS between nodes: all of them, or none.
struct ClusterTls {
  std::string certificate = {};  ///< the node's own, with what leads to the authority behind it
  std::string key = {};
  std::string authority = {};
};

/// How a node speaks to others of its cluster.
struct ClusterConfig {
  std::string listen = {};               ///< ADDRESS:PORT; empty: a cluster of one that nobody can join
  std::string advertise = {};            ///< HOST:PORT by which the others reach this node; empty: as `listen`
  std::vector<std::string> voters = {};  ///< "ID@HOST:PORT" of those who found the cluster, this node perhaps among them
  std::vector<std::string> join = {};    ///< "HOST:PORT" of nodes of a running cluster
  std::string rack = {};
  ClusterTls tls = {};
  /// Of a broker that is silent: then others lead its partitions.
  std::int64_t session_ms = 2'000;
};

/// The members' initial values are the defaults of the settings: nothing else says them.
struct NodeConfig {
  std::int32_t node_id = 1;
  std::string data_dir = ".troupe/data";  ///< created if it is missing

  /// All but `files`, which are no setting.
  http::GatewayOptions gateway = {};
  /// Listening elsewhere than on loopback without authentication was asked for in so many words.
  bool insecure_no_auth = false;

  ClusterConfig cluster = {};

  log::Level log_level = log::Level::info;
  LogFormat log_format = LogFormat::automatic;

  std::uint64_t commit_file_bytes = std::uint64_t{128} << 20;
  std::size_t open_files_max = 1024;
  std::size_t readers = 2;

  /// Bytes of produce requests that the node holds at once; what comes beyond is refused as overloaded.
  std::size_t produce_bytes_max = std::size_t{256} << 20;

  std::int32_t default_partitions = 1;

  std::size_t scheduler_threads = 0;  ///< 0: one a core, at least 2 and at most 4
  SchedulerPolicy scheduler_policy = SchedulerPolicy::sharing;

  bool demo = false;
};

}  // namespace troupe::runtime
