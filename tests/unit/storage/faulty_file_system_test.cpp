#include "tests/support/faulty_file_system.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "tests/support/seed.hpp"
#include "tests/unit/storage/file_helpers.hpp"

using namespace troupe;
using namespace troupe::storage;
using namespace troupe::test;

namespace {

constexpr std::size_t page = 4096;

std::string text_of(const FaultyFileSystem& disk, const std::string& path) {
  const auto content = disk.content(path);
  return content ? std::string(as_text(*content)) : "(" + std::string(to_string(content.error().code)) + ")";
}

/// What `text_of` finds in every possible image.
std::set<std::string> contents_after_cut(const FaultyFileSystem& disk, const std::string& path,
                                         const PowerCutOptions& options = {}) {
  std::set<std::string> contents;
  for (AllChoices all; all.next();) contents.insert(text_of(disk.power_cut(all, options), path));
  return contents;
}

/// A disk with one durable file of `pages` pages of 'a'.
struct DurableFile {
  explicit DurableFile(std::size_t pages) {
    file = std::move(disk.open("/log", OpenMode::create)).value();
    REQUIRE(file->write_at(0, as_bytes(std::string(pages * page, 'a'))).has_value());
    REQUIRE(file->sync().has_value());
    REQUIRE(disk.sync_directory("/").has_value());
    REQUIRE(disk.unsynced_unit_count() == 0);
  }
  FaultyFileSystem disk;
  std::unique_ptr<File> file;
};

std::string pages_of(std::string_view letters) {
  std::string text;
  for (const char letter : letters) text += std::string(page, letter);
  return text;
}

}  // namespace

TEST_CASE("what was synced survives every power cut", "[faulty]") {
  DurableFile on(3);
  CHECK(contents_after_cut(on.disk, "/log") == std::set<std::string>{pages_of("aaa")});
  KeepSynced synced;
  auto image = on.disk.power_cut(synced);
  CHECK(read_all(image, "/log") == pages_of("aaa"));
}

TEST_CASE("of unsynced overwritten pages any subset survives", "[faulty]") {
  DurableFile on(2);
  REQUIRE(on.file->write_at(0, as_bytes(pages_of("bb"))).has_value());
  CHECK(on.disk.unsynced_page_count() == 2);
  CHECK(contents_after_cut(on.disk, "/log") ==
        std::set<std::string>{pages_of("aa"), pages_of("ab"), pages_of("ba"), pages_of("bb")});
  REQUIRE(on.file->sync().has_value());
  CHECK(contents_after_cut(on.disk, "/log") == std::set<std::string>{pages_of("bb")});
}

TEST_CASE("an unsynced append survives page by page, with zeros for the missing ones", "[faulty]") {
  DurableFile on(1);
  REQUIRE(on.file->write_at(page, as_bytes(pages_of("bc") + "d")).has_value());
  const std::string zeros(page, '\0');
  const std::set<std::string> wanted{
      pages_of("a"),
      pages_of("ab"),
      pages_of("a") + zeros + pages_of("c"),
      pages_of("abc"),
      pages_of("abc") + "d",
      pages_of("ab") + zeros + "d",
      pages_of("a") + zeros + pages_of("c") + "d",
      pages_of("a") + zeros + zeros + "d",
      // Delayed allocation: the size without its pages.
      pages_of("a") + zeros + zeros + std::string(1, '\0'),
      pages_of("ab") + zeros + std::string(1, '\0'),
      pages_of("a") + zeros + pages_of("c") + std::string(1, '\0'),
      pages_of("abc") + std::string(1, '\0'),
  };
  CHECK(contents_after_cut(on.disk, "/log") == wanted);
}

TEST_CASE("sectors of a page survive on their own when asked", "[faulty]") {
  DurableFile on(1);
  REQUIRE(on.file->write_at(512, as_bytes(std::string(1024, 'b'))).has_value());
  CHECK(contents_after_cut(on.disk, "/log").size() == 2);
  const auto torn = contents_after_cut(on.disk, "/log", {.torn_sectors = true});
  CHECK(torn.size() == 4);
  CHECK(torn.count(std::string(1024, 'a') + std::string(512, 'b') + std::string(page - 1536, 'a')) == 1);
}

TEST_CASE("earlier versions of a page survive when asked", "[faulty]") {
  DurableFile on(1);
  for (const char letter : {'b', 'c', 'd'}) REQUIRE(on.file->write_at(0, as_bytes(std::string(1, letter))).has_value());
  const auto rest = std::string(page - 1, 'a');
  CHECK(contents_after_cut(on.disk, "/log") == std::set<std::string>{"a" + rest, "d" + rest});
  CHECK(contents_after_cut(on.disk, "/log", {.earlier_versions = true}) ==
        std::set<std::string>{"a" + rest, "b" + rest, "c" + rest, "d" + rest});
}

TEST_CASE("an unsynced truncation survives or not, and no growth survives without it", "[faulty]") {
  DurableFile on(3);
  REQUIRE(on.file->truncate(page + 100).has_value());
  const std::string cut(100, 'a');
  const auto zeroed_tail = cut + std::string(page - 100, '\0');
  CHECK(contents_after_cut(on.disk, "/log") ==
        std::set<std::string>{pages_of("aaa"), pages_of("a") + zeroed_tail + pages_of("a"), pages_of("a") + cut});

  REQUIRE(on.file->write_at(4 * page, as_bytes("z")).has_value());
  for (const auto& content : contents_after_cut(on.disk, "/log")) {
    const auto grown = content.size() > 3 * page;
    if (grown) CHECK(content.compare(0, page + 100, pages_of("a") + cut) == 0);
    if (grown) CHECK(content.find('a', page + 100) == std::string::npos);
  }
  REQUIRE(on.file->sync().has_value());
  CHECK(contents_after_cut(on.disk, "/log").size() == 1);
  CHECK(text_of(on.disk, "/log").size() == 4 * page + 1);
}

TEST_CASE("a synced file without a synced directory entry is gone", "[faulty]") {
  FaultyFileSystem disk;
  write_file(disk, "/a", "synced", true);
  CHECK(contents_after_cut(disk, "/a") == std::set<std::string>{"(not_found)", "synced"});
  REQUIRE(disk.sync_directory("/").has_value());
  CHECK(contents_after_cut(disk, "/a") == std::set<std::string>{"synced"});
}

TEST_CASE("a new directory takes its synced files with it when its own entry is lost", "[faulty]") {
  FaultyFileSystem disk;
  REQUIRE(disk.create_directories("/d/e").has_value());
  write_file(disk, "/d/e/a", "synced", true);
  REQUIRE(disk.sync_directory("/d/e").has_value());
  REQUIRE(disk.sync_directory("/").has_value());
  CHECK(contents_after_cut(disk, "/d/e/a") == std::set<std::string>{"(not_found)", "synced"});
  REQUIRE(disk.sync_directory("/d").has_value());
  CHECK(contents_after_cut(disk, "/d/e/a") == std::set<std::string>{"synced"});
}

TEST_CASE("the changes of one directory survive as a prefix", "[faulty]") {
  FaultyFileSystem disk;
  for (const auto* path : {"/1", "/2", "/3"}) write_file(disk, path, "");
  REQUIRE(disk.remove("/1").has_value());
  CHECK(disk.unsynced_directory_change_count() == 4);
  std::set<std::vector<std::string>> seen;
  for (AllChoices all; all.next();) seen.insert(disk.power_cut(all).files());
  CHECK(seen == std::set<std::vector<std::string>>{{}, {"/1"}, {"/1", "/2"}, {"/1", "/2", "/3"}, {"/2", "/3"}});
}

TEST_CASE("a rename leaves the old file or the new one under the name", "[faulty]") {
  FaultyFileSystem disk;
  write_file(disk, "/a", "old", true);
  write_file(disk, "/b", "new", true);
  REQUIRE(disk.sync_directory("/").has_value());
  REQUIRE(disk.rename("/b", "/a").has_value());
  CHECK(contents_after_cut(disk, "/a") == std::set<std::string>{"old", "new"});
  REQUIRE(disk.sync_directory("/").has_value());
  CHECK(contents_after_cut(disk, "/a") == std::set<std::string>{"new"});
}

TEST_CASE("a rename of a file that was not synced may leave an empty one", "[faulty]") {
  // Goal: the mistake that S5 forbids must be visible.
  FaultyFileSystem disk;
  write_file(disk, "/a", "old", true);
  write_file(disk, "/b", "new");
  REQUIRE(disk.rename("/b", "/a").has_value());
  REQUIRE(disk.sync_directory("/").has_value());
  CHECK(contents_after_cut(disk, "/a") == std::set<std::string>{"", std::string(3, '\0'), "new"});
}

TEST_CASE("a rename between directories never loses or doubles the file", "[faulty]") {
  const auto both_synced_first = GENERATE(false, true);
  FaultyFileSystem disk;
  REQUIRE(disk.create_directories("/x").has_value());
  REQUIRE(disk.create_directories("/y").has_value());
  REQUIRE(disk.sync_directory("/").has_value());
  write_file(disk, "/x/a", "kept", true);
  if (both_synced_first) REQUIRE(disk.sync_directory("/x").has_value());
  write_file(disk, "/y/before", "");
  REQUIRE(disk.rename("/x/a", "/y/a").has_value());
  write_file(disk, "/x/after", "");

  std::set<std::size_t> copies;
  for (AllChoices all; all.next();) {
    const auto image = disk.power_cut(all);
    copies.insert(image.content("/x/a").has_value() + 2U * image.content("/y/a").has_value());
  }
  CHECK(copies == (both_synced_first ? std::set<std::size_t>{1, 2} : std::set<std::size_t>{0, 1, 2}));

  REQUIRE(disk.sync_directory("/x").has_value());
  CHECK(contents_after_cut(disk, "/y/a") == std::set<std::string>{"kept"});
  CHECK(contents_after_cut(disk, "/x/a") == std::set<std::string>{"(not_found)"});
}

TEST_CASE("a removed file comes back when its removal was not synced", "[faulty]") {
  DurableFile on(1);
  REQUIRE(on.disk.remove("/log").has_value());
  CHECK(contents_after_cut(on.disk, "/log") == std::set<std::string>{"(not_found)", pages_of("a")});
  REQUIRE(on.disk.sync_directory("/").has_value());
  CHECK(contents_after_cut(on.disk, "/log") == std::set<std::string>{"(not_found)"});
}

TEST_CASE("a failed sync loses its pages although the next sync succeeds", "[faulty]") {
  DurableFile on(2);
  on.disk.fail({.kind = OperationKind::sync, .path_contains = "log", .error = EIO});
  REQUIRE(on.file->write_at(page, as_bytes(pages_of("bc"))).has_value());
  const auto failed = on.file->sync();
  CHECK(failed_with(failed, Errc::storage_error));
  CHECK_THAT(message_of(failed), Catch::Contains("sync /log: Input/output error (EIO)"));
  REQUIRE(on.file->sync().has_value());

  CHECK(text_of(on.disk, "/log") == pages_of("abc"));
  CHECK(on.disk.lost_page_count() == 2);
  CHECK(contents_after_cut(on.disk, "/log") == std::set<std::string>{pages_of("aa") + std::string(page, '\0')});

  // Only a write to a lost page brings it back.
  REQUIRE(on.file->write_at(2 * page, as_bytes("C")).has_value());
  REQUIRE(on.file->sync().has_value());
  CHECK(contents_after_cut(on.disk, "/log") == std::set<std::string>{pages_of("aa") + "C" + std::string(page - 1, 'c')});
  on.disk.drop_caches();
  CHECK(text_of(on.disk, "/log") == pages_of("aa") + "C" + std::string(page - 1, 'c'));
  CHECK(on.disk.lost_page_count() == 0);
}

TEST_CASE("dropping caches keeps what is unsynced and a pending truncation", "[faulty]") {
  DurableFile on(3);
  REQUIRE(on.file->truncate(page).has_value());
  REQUIRE(on.file->truncate(2 * page).has_value());
  REQUIRE(on.file->write_at(0, as_bytes("b")).has_value());
  const auto before = text_of(on.disk, "/log");
  on.disk.drop_caches();
  CHECK(text_of(on.disk, "/log") == before);
  CHECK(before == "b" + std::string(page - 1, 'a') + std::string(page, '\0'));
}

TEST_CASE("a failed write may have stored a part, and says so to nobody", "[faulty]") {
  DurableFile on(1);
  on.disk.fail({.kind = OperationKind::write, .nth = 2, .error = EDQUOT, .bytes_written = 2});
  REQUIRE(on.file->write_at(0, as_bytes("1111")).has_value());
  CHECK(failed_with(on.file->write_at(0, as_bytes("2222")), Errc::storage_full));
  CHECK(text_of(on.disk, "/log").substr(0, 5) == "2211a");
  CHECK(on.file->write_at(0, as_bytes("3333")).has_value());
}

TEST_CASE("each kind of operation fails on command, at the nth match, once or from then on", "[faulty]") {
  FaultyFileSystem disk;
  const auto call = [&](OperationKind kind) -> Status {
    const auto file = disk.open("/a", OpenMode::create);
    if (!file) return file.error();
    std::array<std::byte, 1> out{};
    const auto status_of = [](const auto& result) -> Status { return result ? ok() : Status(result.error()); };
    switch (kind) {
      case OperationKind::open: return ok();
      case OperationKind::read: return status_of((*file)->read_at(0, out));
      case OperationKind::write: return (*file)->write_at(0, as_bytes("x"));
      case OperationKind::sync: return (*file)->sync();
      case OperationKind::truncate: return (*file)->truncate(1);
      case OperationKind::stat: return status_of((*file)->size());
      case OperationKind::list: return status_of(disk.list("/"));
      case OperationKind::create_directories: return disk.create_directories("/ad");
      case OperationKind::rename: return disk.rename("/a", "/a2");
      case OperationKind::remove: return disk.remove("/a");
      case OperationKind::sync_directory: return disk.sync_directory("/");
      case OperationKind::lock: return status_of(disk.lock("/a", ""));
    }
    TROUPE_ASSERT(false);
  };
  for (int number = 0; number <= static_cast<int>(OperationKind::lock); ++number) {
    const auto kind = static_cast<OperationKind>(number);
    INFO(test::to_string(kind));
    disk.fail({.kind = kind, .path_contains = "no such path"});
    disk.fail({.kind = kind, .nth = 2, .error = ENOSPC});
    CHECK(call(kind).has_value());
    CHECK(failed_with(call(kind), Errc::storage_full));
    CHECK(call(kind).has_value());
    disk.clear_faults();
    disk.fail({.kind = kind, .nth = 2, .error = EIO, .always = true});
    CHECK(call(kind).has_value());
    CHECK(failed_with(call(kind), Errc::storage_error));
    CHECK(failed_with(call(kind), Errc::storage_error));
    disk.clear_faults();
    CHECK(call(kind).has_value());
  }
}

TEST_CASE("a full disk stores what fits, tells its free space and takes space back", "[faulty]") {
  FaultyFileSystem disk;
  disk.set_capacity(4 * page + 100);
  write_file(disk, "/a", pages_of("aa"));
  CHECK(disk.free_bytes("/").value() == 2 * page);
  const auto file = std::move(disk.open("/b", OpenMode::create)).value();
  CHECK(failed_with(file->write_at(0, as_bytes(pages_of("bbb"))), Errc::storage_full));
  CHECK(text_of(disk, "/b") == pages_of("bb"));
  CHECK(disk.free_bytes("/").value() == 0);
  CHECK(file->write_at(0, as_bytes("c")).has_value());
  REQUIRE(disk.remove("/a").has_value());
  CHECK(disk.free_bytes("/").value() == 2 * page);
  CHECK(file->write_at(2 * page, as_bytes("d")).has_value());
}

TEST_CASE("a killed process loses its handles and locks and nothing else", "[faulty]") {
  FaultyFileSystem disk;
  const auto file = std::move(disk.open("/a", OpenMode::create)).value();
  REQUIRE(file->write_at(0, as_bytes("unsynced")).has_value());
  auto lock = disk.lock("/lock", "first");
  REQUIRE(lock.has_value());
  disk.process_kill();

  std::array<std::byte, 1> out{};
  CHECK(failed_with(file->write_at(0, as_bytes("ghost")), Errc::storage_error));
  CHECK(failed_with(file->read_at(0, out), Errc::storage_error));
  CHECK(failed_with(file->sync(), Errc::storage_error));
  CHECK(failed_with(file->truncate(0), Errc::storage_error));
  CHECK(failed_with(file->size(), Errc::storage_error));
  CHECK(read_all(disk, "/a") == "unsynced");
  CHECK(contents_after_cut(disk, "/a").count("(not_found)") == 1);

  const auto second = disk.lock("/lock", "second");
  REQUIRE(second.has_value());
  lock.value().reset();
  CHECK(failed_with(disk.lock("/lock", "third"), Errc::wrong_owner));
}

TEST_CASE("images share nothing with the disk they were taken from", "[faulty]") {
  DurableFile on(1);
  REQUIRE(on.file->write_at(0, as_bytes("b")).has_value());
  auto copy = on.disk.clone();
  KeepSynced synced;
  auto image = on.disk.power_cut(synced);
  CHECK(copy.unsynced_page_count() == 1);
  CHECK(image.unsynced_page_count() == 0);

  write_file(copy, "/log", "c", true);
  REQUIRE(image.overwrite("/log", 0, as_bytes("d")).has_value());
  REQUIRE(image.remove("/log").has_value());
  REQUIRE(copy.lock("/lock", "").has_value());
  CHECK(text_of(on.disk, "/log")[0] == 'b');
  CHECK(text_of(copy, "/log")[0] == 'c');
  CHECK(on.disk.unsynced_page_count() == 1);
  CHECK(on.disk.files() == std::vector<std::string>{"/log"});
}

TEST_CASE("bit rot changes cache and disk and is no unsynced change", "[faulty]") {
  DurableFile on(2);
  REQUIRE(on.disk.flip_bit("/log", page, 1).has_value());
  REQUIRE(on.disk.overwrite("/log", page - 1, as_bytes("X")).has_value());
  const auto wanted = std::string(page - 1, 'a') + "X" + static_cast<char>('a' ^ 2) + std::string(page - 1, 'a');
  CHECK(text_of(on.disk, "/log") == wanted);
  CHECK(on.disk.lost_page_count() == 0);
  CHECK(contents_after_cut(on.disk, "/log") == std::set<std::string>{wanted});
  on.disk.drop_caches();
  CHECK(text_of(on.disk, "/log") == wanted);
  CHECK(failed_with(on.disk.flip_bit("/log", 2 * page, 0), Errc::invalid_argument));
  CHECK(failed_with(on.disk.flip_bit("/nothing", 0, 0), Errc::not_found));
}

TEST_CASE("the hook sees every operation and can cut the power after it", "[faulty]") {
  FaultyFileSystem disk;
  std::vector<std::string> seen;
  std::size_t changes = 0;
  disk.on_operation([&](const Operation& operation) {
    CHECK(operation.index == disk.operation_count());
    seen.push_back(test::to_string(operation.kind) + " " + operation.path + (operation.succeeded ? "" : " failed"));
    changes += operation.changes_disk ? 1 : 0;
    KeepEverything everything;
    CHECK(disk.power_cut(everything).files() == disk.files());
  });
  write_file(disk, "/a", "x", true);
  REQUIRE(disk.rename("/a", "/b").has_value());
  CHECK(failed_with(disk.remove("/a"), Errc::not_found));
  REQUIRE(disk.sync_directory("/").has_value());
  REQUIRE(disk.sync_directory("/").has_value());
  CHECK(seen == std::vector<std::string>{"open /a", "write /a", "sync /a", "rename /a -> /b", "remove /a failed",
                                         "sync_directory /", "sync_directory /"});
  CHECK(changes == 5);
  CHECK(disk.operation_count(OperationKind::sync_directory) == 2);
  disk.on_operation({});
  REQUIRE(disk.exists("/b").has_value());
  CHECK(seen.size() == 7);
}

TEST_CASE("any image lies between what was synced and what was written", "[faulty]") {
  const auto seed = seed_or(20'240);
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  for (int round = 0; round < 60; ++round) {
    // Goal: an oracle that knows nothing of pages: each byte is the synced one or one written since, and a zero only where the
    // file once ended before it. Bit n of a byte's set stands for the letter 'a' + n, the highest bit for zero.
    constexpr unsigned zero = 1U << 31U;
    const auto bit_of = [](char c) { return c == '\0' ? zero : 1U << static_cast<unsigned>(c - 'a'); };
    FaultyFileSystem disk;
    const auto file = std::move(disk.open("/log", OpenMode::create)).value();
    REQUIRE(disk.sync_directory("/").has_value());
    std::vector<unsigned> allowed(30'000, zero);
    std::set<std::size_t> sizes{0};
    std::string now;
    for (int step = 0; step < 12; ++step) {
      if (random.chance(1, 4)) {
        REQUIRE(file->sync().has_value());
        std::fill(allowed.begin(), allowed.end(), zero);
        std::transform(now.begin(), now.end(), allowed.begin(), bit_of);
        sizes = {now.size()};
      } else if (random.chance(1, 4)) {
        now.resize(random.below(now.size() + 1));
        REQUIRE(file->truncate(now.size()).has_value());
        for (auto i = now.size(); i < allowed.size(); ++i) allowed[i] |= zero;
      } else {
        const auto at = random.below(20'000);
        const std::string text(1 + random.below(9'000), static_cast<char>('a' + step));
        if (now.size() < at + text.size()) now.resize(at + text.size());
        now.replace(at, text.size(), text);
        REQUIRE(file->write_at(at, as_bytes(text)).has_value());
        for (std::size_t i = 0; i < text.size(); ++i) allowed[at + i] |= bit_of(text[i]);
      }
      sizes.insert(now.size());
    }
    CHECK(text_of(disk, "/log") == now);
    const PowerCutOptions options{.torn_sectors = random.chance(1, 2), .earlier_versions = random.chance(1, 2)};
    for (int cut = 0; cut < 20; ++cut) {
      RandomChoices choices(random);
      const auto image = text_of(disk.power_cut(choices, options), "/log");
      INFO("choices " << choices.to_string());
      CHECK(image.size() >= *sizes.begin());
      CHECK(image.size() <= *sizes.rbegin());
      std::size_t good = 0;
      while (good < image.size() && (allowed[good] & bit_of(image[good])) != 0) ++good;
      CHECK(good == image.size());
    }
    KeepEverything everything;
    CHECK(text_of(disk.power_cut(everything), "/log") == now);
  }
}
