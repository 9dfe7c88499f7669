#include "runtime/config/schema.hpp"

#include <algorithm>
#include <concepts>
#include <type_traits>

#include "base/nearest_name.hpp"
#include "runtime/config/checks.hpp"

namespace troupe::runtime {
namespace {

using enum SettingKind;

struct Access {
  SettingValue (*get)(const NodeConfig&);
  void (*set)(NodeConfig&, const SettingValue&);
};

/// Reads and writes the member that `Member` names, a function from a configuration to a reference into it.
template <auto Member>
Access access() {
  using Field = std::remove_cvref_t<decltype(Member(std::declval<NodeConfig&>()))>;
  if constexpr (std::same_as<Field, bool> || std::same_as<Field, std::string> ||
                std::same_as<Field, std::vector<std::string>>) {
    return {[](const NodeConfig& config) -> SettingValue { return Member(config); },
            [](NodeConfig& config, const SettingValue& value) { Member(config) = std::get<Field>(value); }};
  } else {
    return {[](const NodeConfig& config) -> SettingValue { return static_cast<std::int64_t>(Member(config)); },
            [](NodeConfig& config, const SettingValue& value) {
              Member(config) = static_cast<Field>(std::get<std::int64_t>(value));
            }};
  }
}
#define TROUPE_FIELD(path)                                   \
  access < [](auto& config) -> auto& { return config.path; } \
  > ()

constexpr Access listen_access = {[](const NodeConfig& config) -> SettingValue {
                                    return Endpoint{config.gateway.host, config.gateway.port};
                                  },
                                  [](NodeConfig& config, const SettingValue& value) {
                                    const auto& endpoint = std::get<Endpoint>(value);
                                    config.gateway.host = endpoint.host;
                                    config.gateway.port = endpoint.port;
                                  }};

constexpr std::string_view log_levels[] = {"debug", "info", "warn", "error", "off"};
constexpr std::string_view log_formats[] = {"auto", "text", "json"};
constexpr std::string_view scheduler_policies[] = {"sharing", "stealing"};

Setting make(std::string_view name, SettingKind kind, Access member, std::string_view description,
             std::string_view flag = {}, Status (*check)(std::string_view) = nullptr) {
  return {.name = name,
          .kind = kind,
          .description = description,
          .flag = flag,
          .get = member.get,
          .set = member.set,
          .check = check};
}
Setting number(std::string_view name, SettingKind kind, std::int64_t min, std::int64_t max, Access member,
               std::string_view description, std::string_view flag = {}) {
  auto setting = make(name, kind, member, description, flag);
  setting.min = min;
  setting.max = max;
  return setting;
}
Setting word(std::string_view name, std::span<const std::string_view> choices, Access member, std::string_view description,
             std::string_view flag = {}) {
  auto setting = make(name, choice, member, description, flag);
  setting.choices = choices;
  return setting;
}

constexpr std::int64_t KiB = std::int64_t{1} << 10;
constexpr std::int64_t MiB = std::int64_t{1} << 20;
constexpr std::int64_t GiB = std::int64_t{1} << 30;
constexpr std::int64_t TiB = std::int64_t{1} << 40;
constexpr std::int64_t second = 1000;
constexpr std::int64_t hour = 3600 * second;
constexpr std::int64_t day = 24 * hour;

#define TROUPE_LIMIT(field, kind, min, max, description) \
  number("gateway." #field, kind, min, max, TROUPE_FIELD(gateway.limits.field), description)

std::vector<Setting> gateway_limits() {
  return {
      TROUPE_LIMIT(header_bytes_max, size, KiB, MiB, "Request line and headers together; beyond it 431."),
      TROUPE_LIMIT(header_line_bytes_max, size, 256, MiB, "One header line; beyond it 431."),
      TROUPE_LIMIT(header_count_max, integer, 8, 1000, "Headers of a request; beyond it 431."),
      TROUPE_LIMIT(target_bytes_max, size, 256, MiB, "Path and query of a request; beyond it 414."),
      TROUPE_LIMIT(body_bytes_max, size, KiB, GiB, "Body of a request as it is sent; beyond it 413, before it is read."),
      TROUPE_LIMIT(chunk_header_bytes_max, size, 16, 64 * KiB, "Size line of a chunk with its extensions; beyond it 400."),
      TROUPE_LIMIT(trailer_bytes_max, size, 0, MiB, "Trailers behind a chunked body; beyond it 400."),
      TROUPE_LIMIT(inflated_bytes_max, size, KiB, 4 * GiB, "A compressed body once it is inflated; beyond it 413."),
      TROUPE_LIMIT(inflate_ratio_max, integer, 2, 100'000,
                   "Inflated to compressed bytes, looked at above 1 MiB; beyond it 413."),
      TROUPE_LIMIT(record_bytes_max, size, KiB, GiB, "Key, value and headers of one record; beyond it 413."),
      TROUPE_LIMIT(record_headers_max, integer, 0, 10'000, "Headers of one record; beyond it 413."),
      TROUPE_LIMIT(json_depth_max, integer, 4, 1000, "Objects and arrays within each other in a JSON body; beyond it 400."),
      TROUPE_LIMIT(json_elements_max, integer, 100, 100'000'000, "Values in one JSON body; beyond it 400."),
      TROUPE_LIMIT(first_byte_ms_max, duration, 10, hour, "Until the first byte of a new connection; then it is closed."),
      TROUPE_LIMIT(headers_ms_max, duration, 10, hour, "Until the headers of a request are there; then 408."),
      TROUPE_LIMIT(body_grace_ms, duration, 10, hour, "A body may come as slowly as it likes for that long."),
      TROUPE_LIMIT(body_bytes_per_s_min, size, 0, GiB, "After the grace a body has to come at that rate; below it 408."),
      TROUPE_LIMIT(keep_alive_ms_max, duration, 10, day, "Between two requests of a connection; then it is closed."),
      TROUPE_LIMIT(request_ms_max, duration, 100, day,
                   "A whole request from its first byte to its answer, long polls apart."),
      TROUPE_LIMIT(wait_ms_max, duration, 0, hour, "The longest `wait` of a long poll."),
      TROUPE_LIMIT(connections_max, integer, 1, 10'000'000, "Connections at once; beyond it 503."),
      TROUPE_LIMIT(connections_per_address_max, integer, 1, 10'000'000, "The same from one address; loopback is exempt."),
      TROUPE_LIMIT(new_connections_per_s_per_address_max, integer, 1, 10'000'000,
                   "Connections that one address may open in a second; loopback is exempt."),
      TROUPE_LIMIT(requests_per_connection_max, integer, 1, 1'000'000'000,
                   "Requests of a connection; after them it is closed."),
      TROUPE_LIMIT(inflight_bytes_max, size, MiB, TiB,
                   "Bodies that are read or worked on, all connections together; beyond it 503."),
      TROUPE_LIMIT(frame_in_bytes_max, size, KiB, GiB, "A WebSocket message from a client; beyond it the socket is closed."),
      TROUPE_LIMIT(frame_out_bytes_max, size, KiB, GiB, "A WebSocket message to a client."),
      TROUPE_LIMIT(fragments_max, integer, 1, 100'000, "Fragments of a WebSocket message; beyond it the socket is closed."),
      TROUPE_LIMIT(control_frames_per_10s_max, integer, 1, 1'000'000, "Pings and pongs that a client may send in 10 s."),
      TROUPE_LIMIT(subscriptions_max, integer, 1, 100'000, "Subscriptions of a WebSocket; beyond it an error."),
      TROUPE_LIMIT(send_queue_bytes_max, size, 4 * KiB, GiB,
                   "Waiting for one slow client; beyond it its slow policy decides."),
      TROUPE_LIMIT(all_send_queues_bytes_max, size, MiB, TiB,
                   "Waiting for all clients together; beyond it new ones are refused."),
      TROUPE_LIMIT(produce_inflight_max, integer, 1, 100'000, "Produces of a WebSocket at once; beyond it reading pauses."),
      TROUPE_LIMIT(produce_inflight_bytes_max, size, KiB, GiB, "The same in bytes."),
      TROUPE_LIMIT(flush_ms, duration, 0, 10 * second,
                   "Pause between two writes to a subscriber; up to four times that for 1,000 sockets, none for few."),
      TROUPE_LIMIT(connect_ms_max, duration, 10, hour, "Until a WebSocket has sent `connect`; then it is closed."),
      TROUPE_LIMIT(ping_ms, duration, 100, hour, "Between pings to a silent WebSocket."),
      TROUPE_LIMIT(pong_ms_max, duration, 10, hour, "Until the pong; then the socket is closed."),
      TROUPE_LIMIT(sse_comment_ms, duration, 100, hour, "Between comments on a silent event stream."),
      TROUPE_LIMIT(write_stall_ms_max, duration, 10, hour, "A client that takes no byte for that long is closed."),
      TROUPE_LIMIT(last_event_id_bytes_max, size, 64, 64 * KiB, "The `Last-Event-ID` of an event stream; beyond it 400."),
  };
}

std::vector<Setting> make_settings() {
  std::vector<Setting> all = {
      number("node.id", integer, 1, 2'147'483'647, TROUPE_FIELD(node_id),
             "This node's broker id. The data directory remembers it and refuses another.", "--node-id"),
      make("node.data_dir", text, TROUPE_FIELD(data_dir), "Where the records are; created if missing, for this user alone.",
           "--data-dir"),

      make("gateway.listen", endpoint, listen_access,
           "Address and port for HTTP, WebSocket and SSE; port 0: the kernel chooses. IPv6 in brackets.", "--http"),
      make("gateway.insecure_no_auth", boolean, TROUPE_FIELD(insecure_no_auth),
           "Listen on other addresses than loopback although anybody who reaches them may do everything.",
           "--insecure-no-auth"),
      number("gateway.io_threads", integer, 1, 64, TROUPE_FIELD(gateway.io_threads), "Threads that serve connections."),
      make("gateway.host_names", text_list, TROUPE_FIELD(gateway.host_names),
           "Names by which clients may call this node besides localhost, without port; any other Host is answered 421.", {},
           check_host_name),
      make("gateway.allowed_origins", text_list, TROUPE_FIELD(gateway.allowed_origins),
           "Web pages besides our own that may call, as \"https://app.example\".", {}, check_origin),

      make("cluster.listen", maybe_text, TROUPE_FIELD(cluster.listen),
           "ADDRESS:PORT for the other nodes of the cluster; empty: a cluster of one. On loopback, or with TLS.",
           "--cluster", check_listen_address),
      make("cluster.advertise", maybe_text, TROUPE_FIELD(cluster.advertise),
           "HOST:PORT by which the other nodes reach this one; empty: as `cluster.listen`.", {}, check_host_port),
      make(
          "cluster.voters", text_list, TROUPE_FIELD(cluster.voters),
          "The nodes that found the cluster and keep its metadata, as \"1@HOST:PORT\", the same on each: 1, 3 or 5 of them.",
          "--voters", check_voter),
      make("cluster.join", text_list, TROUPE_FIELD(cluster.join),
           "HOST:PORT of nodes of a running cluster that this node joins, one at least that is up.", "--join",
           check_host_port),
      make("cluster.rack", maybe_text, TROUPE_FIELD(cluster.rack),
           "Where this node stands; copies of a partition are spread over racks.", {}, check_rack),
      make("cluster.tls.certificate", maybe_text, TROUPE_FIELD(cluster.tls.certificate),
           "File with this node's certificate in PEM, of the name broker-ID: TLS between nodes, for all of them or for "
           "none."),
      make("cluster.tls.key", maybe_text, TROUPE_FIELD(cluster.tls.key),
           "File with the key of that certificate in PEM, without a passphrase."),
      make("cluster.tls.authority", maybe_text, TROUPE_FIELD(cluster.tls.authority),
           "File with the certificate of the cluster's own authority: whoever has one by it is a node."),
      number("cluster.session_ms", duration, 500, hour, TROUPE_FIELD(cluster.session_ms),
             "A node that the controller does not hear for so long is fenced: others lead its partitions."),

      word("log.level", log_levels, TROUPE_FIELD(log_level), "The least important lines that are written.", "--log-level"),
      word("log.format", log_formats, TROUPE_FIELD(log_format), "auto: text on a terminal, JSON lines elsewhere.",
           "--log-format"),

      number("storage.commit_file_bytes", size, MiB, 16 * GiB, TROUPE_FIELD(commit_file_bytes),
             "Size of a file of the commit log; a few of them exist at a time, preallocated."),
      number("storage.open_files_max", integer, 16, 1'000'000, TROUPE_FIELD(open_files_max),
             "Files of the log kept open; above 10,000 raise `ulimit -n`, too."),
      number("storage.readers", integer, 1, 64, TROUPE_FIELD(readers), "Threads that read what is no longer in memory."),

      number("memory.produce_bytes_max", size, MiB, TiB, TROUPE_FIELD(produce_bytes_max),
             "Records on their way into the log, all clients together; beyond it 503 and retry later."),

      number("topics.default_partitions", integer, 1, 10'000, TROUPE_FIELD(default_partitions),
             "Partitions of a topic that is created without a number."),

      number("actors.scheduler_threads", integer, 0, 64, TROUPE_FIELD(scheduler_threads),
             "Threads for actors; 0: one a core, at least 2 and at most 4."),
      word("actors.scheduler_policy", scheduler_policies, TROUPE_FIELD(scheduler_policy),
           "One queue for all threads, or one a thread with work stealing."),

      make("demo.enabled", boolean, TROUPE_FIELD(demo), "Produce moving demo data: drivers on a map, a chat.", "--demo"),
  };
  // The limits follow the gateway's other settings.
  auto limits = gateway_limits();
  const auto behind_gateway =
      std::find_if(all.begin(), all.end(), [](const Setting& each) { return each.section() == "cluster"; });
  all.insert(behind_gateway, limits.begin(), limits.end());
  return all;
}

std::span<const std::string_view> names() {
  static const auto all = [] {
    std::vector<std::string_view> result;
    for (const auto& setting : settings()) result.push_back(setting.name);
    return result;
  }();
  return all;
}

}  // namespace

std::span<const Setting> settings() {
  static const std::vector<Setting> all = make_settings();
  return all;
}

std::string_view section_description(std::string_view section) {
  if (section == "node") return "This node.";
  if (section == "gateway") return "The door for HTTP: REST, WebSocket, server-sent events, pages, metrics.";
  if (section == "cluster") return "The other nodes: docs/operations.md.";
  if (section == "log") return "The lines on standard error.";
  if (section == "storage") return "The log on disk.";
  if (section == "memory") return "What the node may hold in memory.";
  if (section == "topics") return "Topics that do not say otherwise.";
  if (section == "actors") return "The actor system.";
  if (section == "demo") return "Something to look at.";
  return {};
}

const Setting* find_setting(std::string_view name) {
  const auto all = settings();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Setting& setting) { return setting.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::string unknown_setting(std::string_view name) {
  auto near = nearest_name(name, names());
  if (!near) {
    // The right key in a wrong section is no misspelling.
    const auto key = name.substr(std::min(name.size(), name.rfind('.') + 1));
    const auto all = settings();
    const auto same = std::find_if(all.begin(), all.end(), [&](const Setting& setting) { return setting.key() == key; });
    if (same != all.end()) near = same->name;
  }
  const auto what = "unknown setting " + quote(name);
  return near ? what + "; did you mean \"" + std::string(*near) + "\"?" : what + "; `troupe config describe` lists them all";
}

}  // namespace troupe::runtime
