#include "core/link/listener_rule.hpp"

#include <charconv>
#include <string>

namespace troupe::link {
namespace {

/// Four numbers of 0 to 255, the first of them 127.
bool is_v4_loopback(std::string_view text) {
  const char* at = text.data();
  const char* const end = at + text.size();
  for (int part = 0; part < 4; ++part) {
    unsigned number = 0;
    const auto [next, failed] = std::from_chars(at, end, number);
    if (failed != std::errc{} || next - at > 3 || number > 255 || (part == 0 && number != 127)) return false;
    at = next;
    if (part < 3) {
      if (at == end || *at != '.') return false;
      ++at;
    }
  }
  return at == end;
}

}  // namespace

bool is_loopback(std::string_view address) {
  constexpr std::string_view mapped = "::ffff:";
  if (address == "::1") return true;
  if (address.starts_with(mapped)) address.remove_prefix(mapped.size());
  return is_v4_loopback(address);
}

Status check_listener(std::string_view address, const TlsFiles& tls) {
  const int given = int{!tls.certificate.empty()} + int{!tls.key.empty()} + int{!tls.ca.empty()};
  if (given == 3) return ok();
  if (given != 0) {
    return Error{
        Errc::invalid_config,
        "TLS between nodes needs cluster.tls.certificate, cluster.tls.key and cluster.tls.authority: one is missing"};
  }
  if (is_loopback(address)) return ok();
  return Error{Errc::invalid_config,
               "cluster.listen is at " + std::string(address) +
                   ", which other machines can reach: give the node TLS (cluster.tls.certificate, cluster.tls.key and "
                   "cluster.tls.authority), or let it listen on 127.0.0.1"};
}

}  // namespace troupe::link
