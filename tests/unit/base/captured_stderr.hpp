#pragma once

#include <cstdio>
#include <string>

#include <unistd.h>

#include "base/assert.hpp"

namespace troupe {

/// Sends standard error to a file until it is destroyed, and reads what came.
class CapturedStderr {
 public:
  CapturedStderr() : file_(std::tmpfile()), saved_(::dup(STDERR_FILENO)) {
    TROUPE_ASSERT(file_ != nullptr && saved_ >= 0);
    std::fflush(stderr);
    TROUPE_ASSERT(::dup2(::fileno(file_), STDERR_FILENO) >= 0);
  }
  CapturedStderr(const CapturedStderr&) = delete;
  CapturedStderr& operator=(const CapturedStderr&) = delete;
  ~CapturedStderr() {
    std::fflush(stderr);
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
    std::fclose(file_);
  }

  std::string text() const {
    std::fflush(stderr);
    std::string all;
    char buffer[4096];
    ssize_t got = 0;
    while ((got = ::pread(::fileno(file_), buffer, sizeof buffer, static_cast<off_t>(all.size()))) > 0)
      all.append(buffer, static_cast<std::size_t>(got));
    return all;
  }

 private:
  std::FILE* file_;
  int saved_;
};

}  // namespace troupe
