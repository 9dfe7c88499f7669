#include "storage/posix_file_system.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "storage/errno_error.hpp"

namespace troupe::storage {
namespace {

constexpr mode_t file_mode = 0600;
constexpr mode_t directory_mode = 0700;
constexpr std::size_t lock_content_shown_max = 256;

/// Repeats a system call that a signal interrupted. Not for close(): Linux has released the descriptor even then.
template <class Call>
auto retry_interrupted(Call call) {
  for (;;) {
    const auto outcome = call();
    if (outcome != -1 || errno != EINTR) return outcome;
  }
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

/// A path with a NUL inside would name another file to the kernel than it names in our messages.
Status check_path(std::string_view what, const std::string& path) {
  if (path.find('\0') == std::string::npos) return ok();
  return Error{Errc::invalid_argument,
               std::string(what) + " " + std::string(path.c_str()) + "...: the path contains a NUL byte"};
}

Status write_fully(int fd, const std::string& path, std::uint64_t position, std::span<const ByteView> parts) {
  std::array<iovec, IOV_MAX> chunk;
  std::size_t part = 0;
  std::size_t done_of_part = 0;
  while (true) {
    std::size_t chunk_count = 0;
    std::size_t chunk_bytes = 0;
    for (auto next = part; next < parts.size() && chunk_count < chunk.size(); ++next) {
      const auto rest = parts[next].subspan(next == part ? done_of_part : 0);
      if (rest.empty()) continue;
      chunk[chunk_count++] = iovec{const_cast<std::byte*>(rest.data()), rest.size()};
      chunk_bytes += rest.size();
    }
    if (chunk_count == 0) return ok();

    const auto written = retry_interrupted(
        [&] { return ::pwritev(fd, chunk.data(), static_cast<int>(chunk_count), static_cast<off_t>(position)); });
    if (written <= 0) {
      // A device that takes nothing and names no reason would keep us here for ever.
      const auto error = written == 0 ? EIO : errno;
      return errno_error(error,
                         "write " + std::to_string(chunk_bytes) + " bytes at " + std::to_string(position) + " to " + path);
    }
    position += static_cast<std::uint64_t>(written);
    auto advance = static_cast<std::size_t>(written);
    while (advance > 0) {
      const auto rest = parts[part].size() - done_of_part;
      const auto step = std::min(rest, advance);
      advance -= step;
      done_of_part += step;
      if (done_of_part == parts[part].size()) {
        ++part;
        done_of_part = 0;
      }
    }
  }
}

Result<std::size_t> read_fully(int fd, const std::string& path, std::uint64_t position, MutableByteView out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const auto got = retry_interrupted(
        [&] { return ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(position + done)); });
    if (got < 0) {
      return errno_error(errno, "read " + std::to_string(out.size() - done) + " bytes at " +
                                    std::to_string(position + done) + " from " + path);
    }
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

class PosixFile final : public File {
 public:
  PosixFile(Descriptor descriptor, std::string path) : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  using File::write_at;

  Result<std::size_t> read_at(std::uint64_t position, MutableByteView out) const override {
    return read_fully(descriptor_.get(), path_, position, out);
  }

  Status write_at(std::uint64_t position, std::span<const ByteView> parts) override {
    return write_fully(descriptor_.get(), path_, position, parts);
  }

  Status sync() override {
    if (retry_interrupted([&] { return ::fdatasync(descriptor_.get()); }) != 0) return errno_error(errno, "sync " + path_);
    return ok();
  }

  void start_writeback() override {
    // Without the WAIT flags the call does not collect a write-back error, so `sync` still reports it.
    retry_interrupted([&] { return ::sync_file_range(descriptor_.get(), 0, 0, SYNC_FILE_RANGE_WRITE); });
  }

  void drop_cache() const override { ::posix_fadvise(descriptor_.get(), 0, 0, POSIX_FADV_DONTNEED); }

  Status truncate(std::uint64_t size) override {
    if (retry_interrupted([&] { return ::ftruncate(descriptor_.get(), static_cast<off_t>(size)); }) != 0)
      return errno_error(errno, "truncate " + path_ + " to " + std::to_string(size) + " bytes");
    return ok();
  }

  Result<std::uint64_t> size() const override {
    struct stat status {};
    if (::fstat(descriptor_.get(), &status) != 0) return errno_error(errno, "take the size of " + path_);
    return static_cast<std::uint64_t>(status.st_size);
  }

 private:
  Descriptor descriptor_;
  std::string path_;
};

/// syncfs reports every write-back error since the descriptor was opened (Linux 5.8 and later).
class PosixSyncBarrier final : public SyncBarrier {
 public:
  PosixSyncBarrier(Descriptor descriptor, std::string path) : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  Status sync() override {
    if (retry_interrupted([&] { return ::syncfs(descriptor_.get()); }) != 0)
      return errno_error(errno, "sync the file system of " + path_);
    return ok();
  }

 private:
  Descriptor descriptor_;
  std::string path_;
};

/// The kernel ends a flock with the last descriptor of its open file: at the destructor, or when the process dies.
class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

 private:
  Descriptor descriptor_;
};

int flags_of(OpenMode mode) {
  switch (mode) {
    case OpenMode::read: return O_RDONLY;
    case OpenMode::read_write: return O_RDWR;
    case OpenMode::create: return O_RDWR | O_CREAT;
    case OpenMode::create_exclusive: return O_RDWR | O_CREAT | O_EXCL;
  }
  TROUPE_ASSERT(false);
}

/// O_NONBLOCK has no effect on regular files; it keeps the open of a FIFO, which is refused below, from waiting for a peer.
Result<Descriptor> open_regular_file(std::string_view what, const std::string& path, OpenMode mode) {
  TROUPE_TRY(check_path(what, path));
  const auto what_and_path = std::string(what) + " " + path;
  const auto flags = flags_of(mode) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  Descriptor descriptor{retry_interrupted([&] { return ::open(path.c_str(), flags, file_mode); })};
  if (descriptor.get() < 0) {
    const auto error = errno;
    const auto callers_fault = error == ELOOP || error == EISDIR || error == EEXIST || error == ENXIO;
    return errno_error(callers_fault ? Errc::invalid_argument : errc_of_errno(error), error, what_and_path);
  }
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0) return errno_error(errno, what_and_path);
  if (!S_ISREG(status.st_mode)) {
    return Error{Errc::invalid_argument,
                 what_and_path + (S_ISDIR(status.st_mode) ? ": it is a directory" : ": it is not a regular file")};
  }
  return descriptor;
}

Result<Descriptor> open_directory(std::string_view what, const std::string& path) {
  TROUPE_TRY(check_path(what, path));
  Descriptor descriptor{
      retry_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW); })};
  if (descriptor.get() < 0) return errno_error(errno, std::string(what) + " " + path);
  return descriptor;
}

EntryType type_of_mode(mode_t mode) {
  if (S_ISREG(mode)) return EntryType::file;
  if (S_ISDIR(mode)) return EntryType::directory;
  return EntryType::other;
}

/// Some file systems leave the type out of the directory; then the entry is asked for. nullopt: it is gone by now.
Result<std::optional<EntryType>> type_of_entry(int directory, const std::string& path, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return std::optional{type_of_mode(DTTOIF(entry.d_type))};
  struct stat status {};
  if (::fstatat(directory, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
    return std::optional{type_of_mode(status.st_mode)};
  if (errno == ENOENT) return std::optional<EntryType>{};
  return errno_error(errno, "list " + path + ": look at " + entry.d_name);
}

/// What the holder of a lock wrote, fit for one line of a log.
std::string holder_of(int fd, const std::string& path) {
  std::array<std::byte, lock_content_shown_max> content;
  const auto size = read_fully(fd, path, 0, content);
  if (!size || *size == 0) return "which left no note";
  std::string text(as_text(ByteView{content}.first(*size)));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

}  // namespace

Result<std::unique_ptr<File>> PosixFileSystem::open(const std::string& path, OpenMode mode) {
  TROUPE_TRY_ASSIGN(auto descriptor, open_regular_file("open", path, mode));
  return std::unique_ptr<File>(std::make_unique<PosixFile>(std::move(descriptor), path));
}

Result<std::vector<DirectoryEntry>> PosixFileSystem::list(const std::string& path) {
  TROUPE_TRY_ASSIGN(auto descriptor, open_directory("list", path));
  const auto close_directory = [](DIR* directory) { ::closedir(directory); };
  std::unique_ptr<DIR, decltype(close_directory)> directory(::fdopendir(descriptor.get()), close_directory);
  if (!directory) return errno_error(errno, "list " + path);
  descriptor.release();  // the stream closes it

  std::vector<DirectoryEntry> entries;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr && errno != 0) return errno_error(errno, "list " + path);
    if (entry == nullptr) return entries;
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    TROUPE_TRY_ASSIGN(const auto type, type_of_entry(::dirfd(directory.get()), path, *entry));
    if (type) entries.push_back({std::move(name), *type});
  }
}

Result<bool> PosixFileSystem::exists(const std::string& path) {
  TROUPE_TRY(check_path("look for", path));
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return errno_error(errno, "look for " + path);
}

Status PosixFileSystem::create_directories(const std::string& path) {
  TROUPE_TRY(check_path("create the directory", path));
  for (std::size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    const auto ancestor = path.substr(0, end);
    if (::mkdir(ancestor.c_str(), directory_mode) != 0 && errno != EEXIST)
      return errno_error(errno, "create the directory " + ancestor);
  }
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return errno_error(errno, "create the directory " + path);
  if (!S_ISDIR(status.st_mode)) return errno_error(ENOTDIR, "create the directory " + path);
  return ok();
}

Status PosixFileSystem::rename(const std::string& from, const std::string& to) {
  TROUPE_TRY(check_path("rename", from));
  TROUPE_TRY(check_path("rename to", to));
  if (::rename(from.c_str(), to.c_str()) != 0) return errno_error(errno, "rename " + from + " to " + to);
  return ok();
}

Status PosixFileSystem::remove(const std::string& path) {
  TROUPE_TRY(check_path("remove", path));
  if (::unlink(path.c_str()) == 0) return ok();
  if (errno == EISDIR && ::rmdir(path.c_str()) == 0) return ok();
  return errno_error(errno, "remove " + path);
}

Status PosixFileSystem::sync_directory(const std::string& path) {
  TROUPE_TRY_ASSIGN(const auto descriptor, open_directory("sync the directory", path));
  if (retry_interrupted([&] { return ::fsync(descriptor.get()); }) != 0)
    return errno_error(errno, "sync the directory " + path);
  return ok();
}

Result<std::unique_ptr<FileLock>> PosixFileSystem::lock(const std::string& path, const std::string& content) {
  TROUPE_TRY_ASSIGN(auto descriptor, open_regular_file("lock", path, OpenMode::create));
  if (retry_interrupted([&] { return ::flock(descriptor.get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno != EWOULDBLOCK) return errno_error(errno, "lock " + path);
    return Error{Errc::wrong_owner, "lock " + path + ": held by another process: " + holder_of(descriptor.get(), path)};
  }
  // The file stays behind on release: removing it would let two processes lock two files of one name.
  if (retry_interrupted([&] { return ::ftruncate(descriptor.get(), 0); }) != 0)
    return errno_error(errno, "empty the lock " + path);
  const auto note = as_bytes(content);
  TROUPE_TRY(write_fully(descriptor.get(), path, 0, std::span{&note, 1}));
  return std::unique_ptr<FileLock>(std::make_unique<PosixFileLock>(std::move(descriptor)));
}

Result<std::unique_ptr<SyncBarrier>> PosixFileSystem::open_barrier(const std::string& path) {
  TROUPE_TRY_ASSIGN(auto descriptor, open_directory("open for syncing", path));
  return std::unique_ptr<SyncBarrier>(std::make_unique<PosixSyncBarrier>(std::move(descriptor), path));
}

Result<std::uint64_t> PosixFileSystem::free_bytes(const std::string& path) {
  TROUPE_TRY(check_path("ask for the free space of", path));
  struct statvfs status {};
  if (retry_interrupted([&] { return ::statvfs(path.c_str(), &status); }) != 0)
    return errno_error(errno, "ask for the free space of " + path);
  return static_cast<std::uint64_t>(status.f_bavail) * static_cast<std::uint64_t>(status.f_frsize);
}

}  // namespace troupe::storage
