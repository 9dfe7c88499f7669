#include "storage/errno_error.hpp"

#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

namespace troupe::storage {
namespace {

std::string limit_sentence(int error) {
  if (error == ENFILE) return "; the system's limit of open files (sysctl fs.file-max) is reached";
  if (error != EMFILE) return {};
  rlimit limit{};
  std::string value = "unknown";
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) value = std::to_string(limit.rlim_cur);
  return "; the process's limit of open files (RLIMIT_NOFILE, ulimit -n) is " + value;
}

}  // namespace

Errc errc_of_errno(int error) noexcept {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return Errc::storage_full;  // RLIMIT_FSIZE, too, is room that is lacking and may come back
    case ENOENT: return Errc::not_found;
    default: return Errc::storage_error;
  }
}

Error errno_error(Errc code, int error, std::string_view what) {
  std::string message(what);
  message += ": ";
  message += std::generic_category().message(error);
  if (const char* name = ::strerrorname_np(error)) message.append(" (").append(name).append(")");
  message += limit_sentence(error);
  return Error{code, std::move(message)};
}

Error errno_error(int error, std::string_view what) { return errno_error(errc_of_errno(error), error, what); }

}  // namespace troupe::storage
