#include "tests/support/power_cut.hpp"

#include <set>

#include "tests/support/faulty_file_system.hpp"
#include "tests/unit/storage/file_helpers.hpp"

using namespace troupe;
using namespace troupe::storage;
using namespace troupe::test;

TEST_CASE("all choices are every sequence once, also when questions depend on answers", "[faulty]") {
  std::vector<std::string> seen;
  for (AllChoices all; all.next();) {
    if (all.pick(2) == 1) all.pick(3);
    seen.push_back(all.to_string());
  }
  CHECK(seen == std::vector<std::string>{"0/2", "1/2 0/3", "1/2 1/3", "1/2 2/3"});
}

TEST_CASE("a question with one answer is no choice", "[faulty]") {
  AllChoices all;
  REQUIRE(all.next());
  CHECK(all.pick(1) == 0);
  CHECK(all.to_string().empty());
  CHECK_FALSE(all.next());
}

TEST_CASE("random choices can be replayed from what they printed", "[faulty]") {
  FaultyFileSystem disk;
  write_file(disk, "/a", std::string(50'000, 'a'));
  REQUIRE(disk.sync_directory("/").has_value());
  Prng random(7);
  RandomChoices first(random);
  const auto image = disk.power_cut(first);

  std::vector<std::size_t> answers;
  const auto text = first.to_string();
  for (std::size_t at = 0; at != std::string::npos; at = text.find(' ', at + 1))
    answers.push_back(std::stoul(text.substr(at)));
  ReplayedChoices again(answers);
  const auto same = disk.power_cut(again);
  CHECK(equal_bytes(image.content("/a").value(), same.content("/a").value()));
  CHECK(again.to_string() == text);
}

TEST_CASE("few units are tried in all combinations, many at random", "[faulty]") {
  FaultyFileSystem disk;
  write_file(disk, "/a", std::string(3 * 4096, 'a'));
  CHECK(disk.unsynced_unit_count() == 5);  // three pages, the size, the entry
  Prng random(1);
  std::set<std::string> seen;
  const auto note = [&](FaultyFileSystem&, const std::string& choices) { seen.insert(choices); };
  const auto images = for_each_power_cut(disk, {}, random, note);
  CHECK(images == seen.size());
  CHECK(images == 1 + 4 * 2 + 4);  // no entry; last page lost, size asked; last page there

  write_file(disk, "/b", std::string(10 * 4096, 'b'));
  CHECK(for_each_power_cut(disk, {.random_images = 50}, random, note) == 52);
}
