#include "runtime/client/line_reader.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace troupe::client {

Result<bool> LineReader::read_some() {
  constexpr std::size_t chunk = std::size_t{64} << 10;
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  const auto size = buffer_.size();
  buffer_.resize(size + chunk);
  ssize_t count = 0;
  do count = ::read(descriptor_, buffer_.data() + size, chunk);
  while (count < 0 && errno == EINTR);
  buffer_.resize(size + static_cast<std::size_t>(count < 0 ? 0 : count));
  if (count < 0) return Error{Errc::storage_error, std::string("reading: ") + std::strerror(errno)};
  ended_ = count == 0;
  return !ended_;
}

Result<std::optional<std::string>> LineReader::next() {
  for (;;) {
    const auto end = buffer_.find('\n', scanned_);
    const bool whole = end != std::string::npos;
    const auto size = (whole ? end : buffer_.size()) - begin_;
    if (size > line_bytes_max_) {
      return Error{Errc::message_too_large, "a line is longer than " + std::to_string(line_bytes_max_) + " bytes"};
    }
    if (whole || (ended_ && size > 0)) {
      auto line = buffer_.substr(begin_, size);
      begin_ += size + (whole ? 1 : 0);
      scanned_ = begin_;
      return std::optional(std::move(line));
    }
    if (ended_) return std::optional<std::string>();
    scanned_ = buffer_.size();
    TROUPE_TRY(read_some());
  }
}

bool LineReader::is_ready() {
  while (!ended_ && buffer_.find('\n', scanned_) == std::string::npos && buffer_.size() - begin_ <= line_bytes_max_) {
    scanned_ = buffer_.size();
    pollfd entry{descriptor_, POLLIN, 0};
    if (::poll(&entry, 1, 0) <= 0) return false;
    if (!read_some()) return true;  // `next` meets the same error
  }
  return true;
}

}  // namespace troupe::client
