#include <limits.h>

#include <algorithm>
#include <array>

#include "storage/posix_file_system.hpp"
#include "tests/support/faulty_file_system.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/storage/file_helpers.hpp"

// What every FileSystem promises: each test runs on the real one and on the model, so that the model cannot drift from it.

using namespace troupe;
using namespace troupe::storage;
using namespace troupe::test;

namespace {

struct OnPosix {
  TempDirectory folder;
  PosixFileSystem files;
  std::string at(const std::string& name) const { return folder / name; }
  std::string root() const { return folder.path(); }
};

struct OnModel {
  OnModel() { REQUIRE(files.create_directories(root()).has_value()); }
  FaultyFileSystem files;
  std::string at(const std::string& name) const { return root() + "/" + name; }
  std::string root() const { return "/data"; }
};

std::vector<std::string> sorted_names(FileSystem& files, const std::string& path) {
  const auto entries = files.list(path);
  INFO(message_of(entries));
  REQUIRE(entries.has_value());
  std::vector<std::string> names;
  for (const auto& entry : *entries) names.push_back(entry.name + (entry.type == EntryType::directory ? "/" : ""));
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

#define ON_BOTH(name) TEMPLATE_TEST_CASE(name, "[storage][file_system]", OnPosix, OnModel)

ON_BOTH("a file gives back what was written, from any position") {
  TestType on;
  const auto file = on.files.open(on.at("a.log"), OpenMode::create);
  REQUIRE(file.has_value());
  std::string text(10'000, 'x');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
  REQUIRE((*file)->write_at(0, as_bytes(text)).has_value());

  CHECK(read_all(on.files, on.at("a.log")) == text);
  std::array<std::byte, 100> part;
  const auto got = (*file)->read_at(4090, part);
  REQUIRE(got.has_value());
  CHECK(*got == part.size());
  CHECK(as_text(part) == text.substr(4090, part.size()));
}

ON_BOTH("a read is short only where the file ends") {
  TestType on;
  write_file(on.files, on.at("a"), "0123456789");
  const auto file = on.files.open(on.at("a"), OpenMode::read);
  REQUIRE(file.has_value());
  std::array<std::byte, 8> out;
  CHECK((*file)->read_at(6, out).value() == 4);
  CHECK((*file)->read_at(10, out).value() == 0);
  CHECK((*file)->read_at(5000, out).value() == 0);
}

ON_BOTH("a write of more parts than the kernel takes at once arrives whole and in order") {
  TestType on;
  // Goal: pwritev takes IOV_MAX parts; empty parts in between must neither stop it nor be counted as progress.
  std::vector<std::string> texts;
  for (int i = 0; i < 3 * IOV_MAX + 7; ++i) texts.push_back(i % 5 == 0 ? "" : std::to_string(i) + ",");
  std::string wanted = "head";
  std::vector<ByteView> parts;
  for (const auto& text : texts) {
    parts.push_back(as_bytes(text));
    wanted += text;
  }
  const auto file = on.files.open(on.at("a"), OpenMode::create);
  REQUIRE(file.has_value());
  REQUIRE((*file)->write_at(0, as_bytes("head")).has_value());
  REQUIRE((*file)->write_at(4, parts).has_value());
  CHECK(read_all(on.files, on.at("a")) == wanted);
  REQUIRE((*file)->write_at(4, std::span<const ByteView>{}).has_value());
  CHECK((*file)->size().value() == wanted.size());
}

ON_BOTH("a gap before a write, and what truncate adds, read as zeros") {
  TestType on;
  const auto file = on.files.open(on.at("a"), OpenMode::create);
  REQUIRE(file.has_value());
  REQUIRE((*file)->write_at(0, as_bytes("abcdef")).has_value());
  REQUIRE((*file)->truncate(3).has_value());
  REQUIRE((*file)->truncate(5).has_value());
  REQUIRE((*file)->write_at(6, as_bytes("z")).has_value());
  CHECK(read_all(on.files, on.at("a")) == std::string("abc\0\0\0z", 7));
  REQUIRE((*file)->sync().has_value());
  (*file)->start_writeback();
}

ON_BOTH("open modes ask for what exists, or for what does not") {
  TestType on;
  CHECK(failed_with(on.files.open(on.at("a"), OpenMode::read), Errc::not_found));
  CHECK(failed_with(on.files.open(on.at("a"), OpenMode::read_write), Errc::not_found));
  CHECK(failed_with(on.files.open(on.at("missing/a"), OpenMode::create), Errc::not_found));
  write_file(on.files, on.at("a"), "kept");
  REQUIRE(on.files.open(on.at("a"), OpenMode::create).has_value());
  REQUIRE(on.files.open(on.at("a"), OpenMode::read_write).has_value());
  CHECK(read_all(on.files, on.at("a")) == "kept");
  CHECK(failed_with(on.files.open(on.at("a"), OpenMode::create_exclusive), Errc::invalid_argument));
  REQUIRE(on.files.open(on.at("b"), OpenMode::create_exclusive).has_value());
  CHECK(failed_with(on.files.open(on.at("a/b"), OpenMode::create), Errc::storage_error));
}

ON_BOTH("a directory is not opened as a file") {
  TestType on;
  REQUIRE(on.files.create_directories(on.at("d")).has_value());
  for (const auto mode : {OpenMode::read, OpenMode::read_write, OpenMode::create, OpenMode::create_exclusive})
    CHECK(failed_with(on.files.open(on.at("d"), mode), Errc::invalid_argument));
}

ON_BOTH("a file opened for reading cannot be changed") {
  TestType on;
  write_file(on.files, on.at("a"), "kept");
  const auto file = on.files.open(on.at("a"), OpenMode::read);
  REQUIRE(file.has_value());
  CHECK(failed_with((*file)->write_at(0, as_bytes("lost")), Errc::storage_error));
  CHECK(failed_with((*file)->truncate(0), Errc::storage_error));
  CHECK(read_all(on.files, on.at("a")) == "kept");
}

ON_BOTH("errors name the operation, the path and the reason") {
  TestType on;
  const auto path = on.at("no-such-file");
  const auto message = message_of(on.files.open(path, OpenMode::read));
  CHECK_THAT(message, Catch::Contains("open " + path) && Catch::Contains("No such file or directory (ENOENT)"));
  CHECK_THAT(message_of(on.files.rename(path, on.at("b"))), Catch::Contains("rename " + path + " to " + on.at("b")));
  CHECK_THAT(message_of(on.files.remove(path)), Catch::Contains("remove " + path));
  CHECK_THAT(message_of(on.files.list(path)), Catch::Contains("list " + path));
  CHECK_THAT(message_of(on.files.sync_directory(path)), Catch::Contains(path));
  CHECK_THAT(message_of(on.files.free_bytes(path)), Catch::Contains(path));
}

ON_BOTH("directories are made with their parents and listed without dots") {
  TestType on;
  REQUIRE(on.files.create_directories(on.at("x/y/z")).has_value());
  REQUIRE(on.files.create_directories(on.at("x/y//z/")).has_value());
  write_file(on.files, on.at("x/a"), "");
  write_file(on.files, on.at("x/b"), "");
  CHECK(sorted_names(on.files, on.at("x")) == std::vector<std::string>{"a", "b", "y/"});
  CHECK(sorted_names(on.files, on.at("x/y/z")).empty());
  CHECK(failed_with(on.files.list(on.at("nowhere")), Errc::not_found));
  CHECK(failed_with(on.files.list(on.at("x/a")), Errc::storage_error));
  CHECK(failed_with(on.files.create_directories(on.at("x/a/c")), Errc::storage_error));
  CHECK(failed_with(on.files.create_directories(on.at("x/a")), Errc::storage_error));
  CHECK(failed_with(on.files.create_directories(""), Errc::not_found));
}

ON_BOTH("exists tells files and directories from nothing") {
  TestType on;
  write_file(on.files, on.at("a"), "");
  CHECK(on.files.exists(on.at("a")).value());
  CHECK(on.files.exists(on.root()).value());
  CHECK_FALSE(on.files.exists(on.at("b")).value());
  CHECK_FALSE(on.files.exists(on.at("a/b")).value());
  CHECK_FALSE(on.files.exists(on.at("b/c")).value());
}

ON_BOTH("rename replaces the target and keeps open files") {
  TestType on;
  write_file(on.files, on.at("old"), "old");
  write_file(on.files, on.at("new"), "new");
  const auto reader_of_old = on.files.open(on.at("old"), OpenMode::read);
  REQUIRE(reader_of_old.has_value());
  REQUIRE(on.files.rename(on.at("new"), on.at("old")).has_value());
  CHECK(read_all(on.files, on.at("old")) == "new");
  CHECK(sorted_names(on.files, on.root()) == std::vector<std::string>{"old"});
  std::array<std::byte, 3> out;
  CHECK((*reader_of_old)->read_at(0, out).value() == 3);
  CHECK(as_text(out) == "old");
  CHECK(failed_with(on.files.rename(on.at("new"), on.at("old")), Errc::not_found));
}

ON_BOTH("rename moves directories, but not into themselves or over full ones") {
  TestType on;
  REQUIRE(on.files.create_directories(on.at("topic")).has_value());
  REQUIRE(on.files.create_directories(on.at("quarantine")).has_value());
  write_file(on.files, on.at("topic/0.log"), "records");
  CHECK(failed_with(on.files.rename(on.at("topic"), on.at("topic/inside")), Errc::storage_error));
  REQUIRE(on.files.rename(on.at("topic"), on.at("quarantine/topic")).has_value());
  CHECK(read_all(on.files, on.at("quarantine/topic/0.log")) == "records");
  CHECK_FALSE(on.files.exists(on.at("topic")).value());

  REQUIRE(on.files.create_directories(on.at("empty")).has_value());
  CHECK(failed_with(on.files.rename(on.at("empty"), on.at("quarantine/topic")), Errc::storage_error));
  CHECK(failed_with(on.files.rename(on.at("empty"), on.at("quarantine/topic/0.log")), Errc::storage_error));
  CHECK(failed_with(on.files.rename(on.at("quarantine/topic/0.log"), on.at("empty")), Errc::storage_error));
  REQUIRE(on.files.rename(on.at("quarantine/topic"), on.at("empty")).has_value());
  CHECK(read_all(on.files, on.at("empty/0.log")) == "records");
}

ON_BOTH("remove takes files and empty directories, and open files live on") {
  TestType on;
  REQUIRE(on.files.create_directories(on.at("d")).has_value());
  write_file(on.files, on.at("d/a"), "abc");
  const auto file = on.files.open(on.at("d/a"), OpenMode::read);
  REQUIRE(file.has_value());
  CHECK(failed_with(on.files.remove(on.at("d")), Errc::storage_error));
  REQUIRE(on.files.remove(on.at("d/a")).has_value());
  REQUIRE(on.files.remove(on.at("d")).has_value());
  CHECK(failed_with(on.files.remove(on.at("d")), Errc::not_found));
  std::array<std::byte, 3> out;
  CHECK((*file)->read_at(0, out).value() == 3);
}

ON_BOTH("directories are synced, files are not directories") {
  TestType on;
  write_file(on.files, on.at("a"), "");
  CHECK(on.files.sync_directory(on.root()).has_value());
  CHECK(failed_with(on.files.sync_directory(on.at("a")), Errc::storage_error));
  CHECK(failed_with(on.files.sync_directory(on.at("b")), Errc::not_found));
}

ON_BOTH("a lock excludes a second one, names its holder, and ends with its object") {
  TestType on;
  write_file(on.files, on.at("lock"), "a longer note of an earlier process\n");
  auto first = on.files.lock(on.at("lock"), "pid 4711\n");
  REQUIRE(first.has_value());
  CHECK(read_all(on.files, on.at("lock")) == "pid 4711\n");

  const auto second = on.files.lock(on.at("lock"), "pid 4712\n");
  CHECK(failed_with(second, Errc::wrong_owner));
  CHECK_THAT(message_of(second), Catch::Contains(on.at("lock")) && Catch::Contains("pid 4711"));
  CHECK(read_all(on.files, on.at("lock")) == "pid 4711\n");

  CHECK(on.files.lock(on.at("other"), "").has_value());
  first.value().reset();
  const auto third = on.files.lock(on.at("lock"), "pid 4713\n");
  REQUIRE(third.has_value());
  CHECK(read_all(on.files, on.at("lock")) == "pid 4713\n");
  CHECK(failed_with(on.files.lock(on.root(), ""), Errc::invalid_argument));
}

ON_BOTH("free space is some number, and asked of a place that exists") {
  TestType on;
  CHECK(on.files.free_bytes(on.root()).value() > 0);
  CHECK(failed_with(on.files.free_bytes(on.at("nowhere")), Errc::not_found));
}
