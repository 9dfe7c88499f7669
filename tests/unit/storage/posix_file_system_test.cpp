#include "storage/posix_file_system.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "storage/errno_error.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/storage/file_helpers.hpp"

using namespace troupe;
using namespace troupe::storage;
using namespace troupe::test;

namespace {

/// Lowers one limit of this process for one test.
class LoweredLimit {
 public:
  LoweredLimit(__rlimit_resource resource, rlim_t value) : resource_(resource) {
    REQUIRE(::getrlimit(resource_, &before_) == 0);
    auto lowered = before_;
    lowered.rlim_cur = value;
    REQUIRE(::setrlimit(resource_, &lowered) == 0);
  }
  ~LoweredLimit() { ::setrlimit(resource_, &before_); }

 private:
  __rlimit_resource resource_;
  rlimit before_{};
};

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

bool is_regular(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

TEST_CASE("new files and directories are for their owner only", "[storage][posix]") {
  TempDirectory folder;
  PosixFileSystem files;
  REQUIRE(files.create_directories(folder / "a/b").has_value());
  write_file(files, folder / "a/b/c", "x");
  const auto lock = files.lock(folder / "lock", "x");
  REQUIRE(lock.has_value());
  CHECK(mode_of(folder / "a") == 0700);
  CHECK(mode_of(folder / "a/b") == 0700);
  CHECK(mode_of(folder / "a/b/c") == 0600);
  CHECK(mode_of(folder / "lock") == 0600);
}

TEST_CASE("symbolic links are not followed", "[storage][posix]") {
  TempDirectory folder;
  PosixFileSystem files;
  write_file(files, folder / "target", "kept");
  REQUIRE(files.create_directories(folder / "directory").has_value());
  REQUIRE(::symlink("target", (folder / "link").c_str()) == 0);
  REQUIRE(::symlink("missing", (folder / "dangling").c_str()) == 0);
  REQUIRE(::symlink("directory", (folder / "directory-link").c_str()) == 0);

  for (const auto mode : {OpenMode::read, OpenMode::read_write, OpenMode::create, OpenMode::create_exclusive}) {
    CHECK(failed_with(files.open(folder / "link", mode), Errc::invalid_argument));
    CHECK(failed_with(files.open(folder / "dangling", mode), Errc::invalid_argument));
  }
  CHECK(failed_with(files.lock(folder / "link", "lost"), Errc::invalid_argument));
  CHECK(failed_with(files.list(folder / "directory-link"), Errc::storage_error));
  CHECK(failed_with(files.sync_directory(folder / "directory-link"), Errc::storage_error));
  CHECK(failed_with(files.create_directories(folder / "directory-link"), Errc::storage_error));
  CHECK(files.exists(folder / "dangling").value());
  CHECK_FALSE(files.exists(folder / "missing").value());
  CHECK(read_all(files, folder / "target") == "kept");
  REQUIRE(files.remove(folder / "link").has_value());
  CHECK(read_all(files, folder / "target") == "kept");
}

TEST_CASE("what is not a regular file is refused at once", "[storage][posix]") {
  TempDirectory folder;
  PosixFileSystem files;
  const auto fifo = folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const auto socket_path = folder / "socket";
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(socket_path.size() < sizeof address.sun_path);
  socket_path.copy(address.sun_path, socket_path.size());
  REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  ::close(socket);

  // Goal: without O_NONBLOCK the FIFO would hold the test for ever.
  for (const auto& path : {fifo, socket_path, std::string("/dev/null")}) {
    for (const auto mode : {OpenMode::read, OpenMode::read_write})
      CHECK(failed_with(files.open(path, mode), Errc::invalid_argument));
  }
  CHECK(failed_with(files.lock(fifo, ""), Errc::invalid_argument));
  const auto entries = files.list(folder.path());
  REQUIRE(entries.has_value());
  REQUIRE(entries->size() == 2);
  for (const auto& entry : *entries) CHECK(entry.type == EntryType::other);
}

TEST_CASE("a path with a NUL inside is refused by every call", "[storage][posix]") {
  TempDirectory folder;
  PosixFileSystem files;
  write_file(files, folder / "a", "kept");
  const auto path = (folder / "a") + std::string("\0b", 2);
  CHECK(failed_with(files.open(path, OpenMode::read), Errc::invalid_argument));
  CHECK(failed_with(files.list(path), Errc::invalid_argument));
  CHECK(failed_with(files.exists(path), Errc::invalid_argument));
  CHECK(failed_with(files.create_directories(path), Errc::invalid_argument));
  CHECK(failed_with(files.rename(path, folder / "b"), Errc::invalid_argument));
  CHECK(failed_with(files.rename(folder / "a", path), Errc::invalid_argument));
  CHECK(failed_with(files.remove(path), Errc::invalid_argument));
  CHECK(failed_with(files.sync_directory(path), Errc::invalid_argument));
  CHECK(failed_with(files.lock(path, ""), Errc::invalid_argument));
  CHECK(failed_with(files.free_bytes(path), Errc::invalid_argument));
  CHECK(is_regular(folder / "a"));
}

TEST_CASE("descriptors do not leak into child processes", "[storage][posix]") {
  TempDirectory folder;
  PosixFileSystem files;
  const auto file = files.open(folder / "a", OpenMode::create);
  const auto lock = files.lock(folder / "lock", "");
  REQUIRE(file.has_value());
  REQUIRE(lock.has_value());
  const auto descriptors = files.list("/proc/self/fd");
  REQUIRE(descriptors.has_value());
  int found = 0;
  for (const auto& entry : *descriptors) {
    std::string target(4096, '\0');
    const auto size = ::readlink(("/proc/self/fd/" + entry.name).c_str(), target.data(), target.size());
    if (size < 0 || target.compare(0, folder.path().size(), folder.path()) != 0) continue;
    ++found;
    CHECK((::fcntl(std::stoi(entry.name), F_GETFD) & FD_CLOEXEC) != 0);
  }
  CHECK(found == 2);
}

TEST_CASE("running out of descriptors says which limit to raise", "[storage][posix]") {
  TempDirectory folder;
  PosixFileSystem files;
  write_file(files, folder / "a", "");
  Result<std::unique_ptr<File>> opened = Error{Errc::unknown_error, ""};
  {
    LoweredLimit no_more(RLIMIT_NOFILE, 3);
    opened = files.open(folder / "a", OpenMode::read);
  }
  CHECK(failed_with(opened, Errc::storage_error));
  CHECK_THAT(message_of(opened), Catch::Contains("EMFILE") && Catch::Contains("RLIMIT_NOFILE, ulimit -n) is 3"));
}

TEST_CASE("errno values become the reactions that callers have", "[storage][posix]") {
  CHECK(errc_of_errno(ENOSPC) == Errc::storage_full);
  CHECK(errc_of_errno(EDQUOT) == Errc::storage_full);
  CHECK(errc_of_errno(EFBIG) == Errc::storage_full);
  CHECK(errc_of_errno(ENOENT) == Errc::not_found);
  for (const int error : {EIO, EROFS, EACCES, EMFILE, ENFILE, EINTR, EAGAIN})
    CHECK(errc_of_errno(error) == Errc::storage_error);
  CHECK(errno_error(EIO, "sync /a").message == "sync /a: Input/output error (EIO)");
  CHECK_THAT(errno_error(ENFILE, "open /a").message, Catch::Contains("fs.file-max"));
}

TEST_CASE("a write is continued after a short one and fails with the reason of the rest", "[storage][posix]") {
  TempDirectory folder;
  PosixFileSystem files;
  const auto file = files.open(folder / "a", OpenMode::create);
  REQUIRE(file.has_value());
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  Status written;
  {
    // Goal: the limit makes the kernel write 3,616 of 4,096 bytes first, and refuse only the second call.
    LoweredLimit small_files(RLIMIT_FSIZE, 3616);
    written = (*file)->write_at(0, as_bytes(std::string(4096, 'x')));
  }
  std::signal(SIGXFSZ, before);
  CHECK(failed_with(written, Errc::storage_full));
  CHECK_THAT(message_of(written),
             Catch::Contains("write 480 bytes at 3616 to " + (folder / "a")) && Catch::Contains("EFBIG"));
  CHECK((*file)->size().value() == 3616);
}

TEST_CASE("a position that no file can have is an error", "[storage][posix]") {
  TempDirectory folder;
  PosixFileSystem files;
  const auto file = files.open(folder / "a", OpenMode::create);
  REQUIRE(file.has_value());
  CHECK_FALSE((*file)->write_at(~std::uint64_t{0} / 2, as_bytes("xx")).has_value());
  CHECK_FALSE((*file)->write_at(~std::uint64_t{0}, as_bytes("x")).has_value());
  CHECK_FALSE((*file)->truncate(~std::uint64_t{0}).has_value());
  std::byte out{};
  CHECK_FALSE((*file)->read_at(~std::uint64_t{0}, std::span{&out, 1}).has_value());
}

TEST_CASE("a lock is released by the death of its process", "[storage][posix]") {
  TempDirectory folder;
  PosixFileSystem files;
  const auto path = folder / "lock";
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const auto child = ::fork();
  if (child == 0) {
    PosixFileSystem files_of_child;
    const auto held = files_of_child.lock(path, "pid of the child\x01\n");
    const char answer = held ? 'y' : 'n';
    if (::write(ready[1], &answer, 1) == 1) ::pause();
    ::_exit(0);
  }
  REQUIRE(child > 0);
  char answer = 0;
  CHECK(::read(ready[0], &answer, 1) == 1);
  CHECK(answer == 'y');
  const auto refused = files.lock(path, "ours");
  CHECK(failed_with(refused, Errc::wrong_owner));
  CHECK_THAT(message_of(refused), Catch::EndsWith("held by another process: pid of the child?"));

  ::kill(child, SIGKILL);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(files.lock(path, "ours").has_value());
  ::close(ready[0]);
  ::close(ready[1]);
}
