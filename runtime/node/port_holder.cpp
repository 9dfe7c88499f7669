#include "runtime/node/port_holder.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>

namespace troupe::runtime {
namespace {

/// "socket:[88123]" for each socket that listens on `port`, as the names of descriptors in /proc have them.
std::set<std::string> listening_sockets(std::uint16_t port) {
  constexpr std::string_view listening = "0A";
  std::set<std::string> sockets;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream lines(table);
    std::string line;
    std::getline(lines, line);  // the heading
    while (std::getline(lines, line)) {
      //  sl  local_address rem_address   st tx_queue:rx_queue tr:tm->when retrnsmt   uid  timeout inode
      std::istringstream fields(line);
      std::string number, local, remote, state, queues, timer, retransmits, user, timeout, inode;
      fields >> number >> local >> remote >> state >> queues >> timer >> retransmits >> user >> timeout >> inode;
      const auto colon = local.rfind(':');
      if (!fields || colon == std::string::npos || state != listening) continue;
      unsigned found = 0;
      const auto* end = local.data() + local.size();
      const auto [at, error] = std::from_chars(local.data() + colon + 1, end, found, 16);
      if (error == std::errc{} && at == end && found == port) sockets.insert("socket:[" + inode + "]");
    }
  }
  return sockets;
}

bool holds(const std::filesystem::path& process, const std::set<std::string>& sockets) {
  std::error_code error;
  std::filesystem::directory_iterator descriptors(process / "fd", error);
  for (; !error && descriptors != std::filesystem::directory_iterator{}; descriptors.increment(error)) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(descriptors->path(), gone);
    if (!gone && sockets.contains(target.string())) return true;
  }
  return false;
}

}  // namespace

std::optional<std::string> listener_of(std::uint16_t port) {
  const auto sockets = listening_sockets(port);
  if (sockets.empty()) return std::nullopt;
  std::error_code error;
  std::filesystem::directory_iterator processes("/proc", error);
  for (; !error && processes != std::filesystem::directory_iterator{}; processes.increment(error)) {
    const auto number = processes->path().filename().string();
    if (!std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; })) continue;
    if (!holds(processes->path(), sockets)) continue;
    std::string name;
    std::getline(std::ifstream(processes->path() / "comm"), name);
    std::erase_if(name, [](char c) { return c < ' ' || c > '~'; });  // a process chooses its own
    return "process " + number + (name.empty() ? "" : " (" + name + ")");
  }
  return std::nullopt;
}

}  // namespace troupe::runtime
