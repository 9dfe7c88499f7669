#include "runtime/config/checks.hpp"

#include <arpa/inet.h>

#include <set>
#include <string>

#include "core/link/listener_rule.hpp"

namespace troupe::runtime {
namespace {

bool is_address(int family, const std::string& text) {
  unsigned char address[16];
  return text.find('\0') == std::string::npos && ::inet_pton(family, text.c_str(), address) == 1;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  const auto port = parse_integer(text);
  if (!port || *port > 65'535) return std::nullopt;
  return static_cast<std::uint16_t>(*port);
}

constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

bool is_name(std::string_view text) {
  const auto allowed = std::string(letters) + "0123456789.-_";
  return !text.empty() && text.size() <= 253 && text.find_first_not_of(allowed) == std::string_view::npos &&
         text.front() != '.' && text.front() != '-' && text.find("..") == std::string_view::npos;
}

/// A name, an IPv4 address or an IPv6 address in brackets.
bool is_host(std::string_view text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    return is_address(AF_INET6, std::string(text.substr(1, text.size() - 2)));
  }
  return is_name(text);
}

Error wrong(std::string_view got, std::string_view wanted) {
  return {Errc::invalid_config, "got " + quote(got) + ", expected " + std::string(wanted)};
}

}  // namespace

Status check_host_name(std::string_view text) {
  if (is_host(text)) return ok();
  const auto colon = text.rfind(':');
  if (colon != std::string_view::npos && is_host(text.substr(0, colon))) {
    return wrong(text, "a host name without port: " + quote(text.substr(0, colon)));
  }
  return wrong(text, "a host name or address, such as \"troupe.example\" or \"[2001:db8::1]\"");
}

Status check_origin(std::string_view text) {
  constexpr std::string_view wanted =
      "an origin: http:// or https://, a host and perhaps a port, such as \"https://app.example\"";
  if (text == "*") return wrong(text, "the origins by name: every page on the web could call otherwise");
  const auto scheme = text.starts_with("https://") ? 8U : text.starts_with("http://") ? 7U : 0U;
  if (scheme == 0) return wrong(text, wanted);
  const auto authority = text.substr(scheme);
  const auto colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && colon + 1 < authority.size() && authority.back() != ']';
  if (has_port ? is_host(authority.substr(0, colon)) && parse_port(authority.substr(colon + 1)) : is_host(authority))
    return ok();
  if (authority.ends_with('/') && is_host(authority.substr(0, authority.size() - 1))) {
    return wrong(text, "an origin without the slash behind it");
  }
  return wrong(text, wanted);
}

std::optional<HostPort> parse_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_port(text.substr(colon + 1));
  auto host = text.substr(0, colon);
  if (!port || *port == 0 || !is_host(host)) return std::nullopt;
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  return HostPort{std::string(host), *port};
}

std::optional<Voter> parse_voter(std::string_view text) {
  const auto at = text.find('@');
  if (at == std::string_view::npos) return std::nullopt;
  const auto id = parse_integer(text.substr(0, at));
  auto where = parse_host_port(text.substr(at + 1));
  if (!id || *id < 1 || *id > INT32_MAX || !where) return std::nullopt;
  return Voter{static_cast<std::int32_t>(*id), std::move(*where)};
}

Status check_listen_address(std::string_view text) {
  if (parse_endpoint(text)) return ok();
  return wrong(text, "ADDRESS:PORT, such as \"127.0.0.1:9071\"");
}

Status check_host_port(std::string_view text) {
  if (parse_host_port(text)) return ok();
  return wrong(text, "HOST:PORT, such as \"127.0.0.1:9071\" or \"node-2.example:9071\"");
}

Status check_voter(std::string_view text) {
  if (parse_voter(text)) return ok();
  return wrong(text, "a node's id and where it is, such as \"1@127.0.0.1:9071\"");
}

Status check_rack(std::string_view text) {
  constexpr std::size_t rack_bytes_max = 64;
  const auto allowed = std::string(letters) + "0123456789.-_";
  if (text.size() <= rack_bytes_max && text.find_first_not_of(allowed) == std::string_view::npos) return ok();
  return wrong(text, "at most 64 letters, digits, '.', '-' or '_'");
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return std::nullopt;
  auto host = std::string(text.substr(0, colon));
  if (host == "localhost") return Endpoint{"127.0.0.1", *port};
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (is_address(AF_INET6, host)) return Endpoint{host, *port};
  } else if (is_address(AF_INET, host)) {
    return Endpoint{host, *port};
  }
  return std::nullopt;
}

std::string format_endpoint(const Endpoint& endpoint) {
  const bool brackets = endpoint.host.find(':') != std::string::npos;
  return (brackets ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}

namespace {

/// What a node would have to guess about its cluster.
void add_cluster_problems(const NodeConfig& config, std::vector<std::string>& problems) {
  const auto& cluster = config.cluster;
  if (!cluster.voters.empty() && !cluster.join.empty()) {
    problems.emplace_back("cluster.voters and cluster.join are both set: a node founds a cluster, or it joins one");
  }
  if (cluster.listen.empty()) {
    if (!cluster.voters.empty() || !cluster.join.empty()) {
      problems.emplace_back(
          "cluster.voters or cluster.join is set, and cluster.listen is not: the others could not reach this node "
          "(flag --cluster ADDRESS:PORT)");
    }
    return;
  }
  const auto listen = parse_endpoint(cluster.listen);
  if (!listen) return;  // said already
  const auto& tls = cluster.tls;
  if (const auto status = link::check_listener(listen->host, {tls.certificate, tls.key, tls.authority}); !status) {
    problems.push_back(status.error().message);
  }
  constexpr std::size_t voters_max = 7;
  std::set<std::int32_t> ids;
  std::optional<HostPort> own;
  for (const auto& text : cluster.voters) {
    const auto voter = parse_voter(text);
    if (!voter) return;
    if (!ids.insert(voter->id).second)
      problems.push_back("cluster.voters names node " + std::to_string(voter->id) + " twice");
    if (voter->id == config.node_id) own = voter->at;
  }
  if (ids.size() > voters_max)
    problems.emplace_back("cluster.voters names more than 7 nodes: 3 or 5 keep the metadata of any cluster");
  if (own && listen->port != 0 && own->port != listen->port && cluster.advertise.empty()) {
    problems.push_back("cluster.voters says that node " + std::to_string(config.node_id) + " is at port " +
                       std::to_string(own->port) + ", and cluster.listen says " + std::to_string(listen->port));
  }
}

}  // namespace

std::vector<std::string> broken_relations(const NodeConfig& config) {
  std::vector<std::string> problems;
  add_cluster_problems(config, problems);
  if (!is_loopback(config.gateway.host) && !config.insecure_no_auth) {
    problems.push_back(
        "gateway.listen = \"" + format_endpoint({config.gateway.host, config.gateway.port}) +
        "\" can be reached from other machines, and there is no authentication yet; listen on 127.0.0.1, or add "
        "`insecure_no_auth = true` under [gateway] (flag --insecure-no-auth) if everybody there may do everything");
  }
  // The smaller one may not be above the larger one: it could never be reached.
  constexpr std::pair<std::string_view, std::string_view> at_most[] = {
      {"gateway.header_line_bytes_max", "gateway.header_bytes_max"},
      {"gateway.target_bytes_max", "gateway.header_bytes_max"},
      {"gateway.record_bytes_max", "gateway.body_bytes_max"},
      {"gateway.record_bytes_max", "gateway.frame_in_bytes_max"},
      {"gateway.record_bytes_max", "gateway.frame_out_bytes_max"},
      {"gateway.record_bytes_max", "gateway.produce_inflight_bytes_max"},
      {"gateway.body_bytes_max", "gateway.inflated_bytes_max"},
      {"gateway.body_bytes_max", "memory.produce_bytes_max"},
      {"gateway.body_bytes_max", "gateway.inflight_bytes_max"},
      {"gateway.send_queue_bytes_max", "gateway.all_send_queues_bytes_max"},
      {"gateway.headers_ms_max", "gateway.request_ms_max"},
  };
  for (const auto& [smaller, larger] : at_most) {
    const auto& low = *find_setting(smaller);
    const auto& high = *find_setting(larger);
    const auto low_value = low.get(config);
    const auto high_value = high.get(config);
    if (std::get<std::int64_t>(low_value) <= std::get<std::int64_t>(high_value)) continue;
    problems.push_back(std::string(smaller) + " (" + to_text(low, low_value) + ") is above " + std::string(larger) + " (" +
                       to_text(high, high_value) + "): lower the first or raise the second");
  }
  return problems;
}

}  // namespace troupe::runtime
