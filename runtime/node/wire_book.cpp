#include "runtime/node/wire_book.hpp"

#include <utility>

#include "base/log.hpp"

namespace troupe::runtime {
namespace {

constexpr std::chrono::seconds tell_pause{10};

}  // namespace

void WireBook::refuse(const std::string& remote, const std::string& why) {
  ++refused;
  tell("a connection was refused", remote, why);
}

void WireBook::cannot_accept(const std::string& why) { tell("connections from other nodes cannot be accepted", "", why); }

void WireBook::tell(const char* event, const std::string& remote, const std::string& why) {
  const std::lock_guard lock{mutex_};
  const auto now = std::chrono::steady_clock::now();
  if (told_ && now - *told_ < tell_pause) {
    ++untold_;
    return;
  }
  told_ = now;
  log::warn(event, {log::kv("remote", remote), log::kv("reason", why), log::kv("others_before", std::exchange(untold_, 0))});
}

}  // namespace troupe::runtime
