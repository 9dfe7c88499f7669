#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "storage/data_directory.hpp"
#include "storage/posix_file_system.hpp"
#include "tests/integration/cli/process.hpp"
#include "tests/support/batches.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_directory.hpp"

using namespace troupe;
using namespace troupe::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

const std::string topic = "09090000-0000-0000-0000-000000000000";
const std::string first_log = "00000000000000000000.log";
const std::string second_log = "00000000000000000010.log";

/// A data directory with one partition: [0..4] [5..9] in a closed segment, [10..14] [15..19] in the open one.
struct DataFixture {
  TempDirectory folder;
  storage::PosixFileSystem files;
  std::string data = folder / "data";
  std::string partition = data + "/partitions/" + topic + "/0";
  storage::DataDirectory::Options options;
  std::unique_ptr<storage::DataDirectory> directory;
  const TopicIdPartition id{Uuid{{9, 9}}, PartitionId{0}};

  DataFixture() {
    options.path = data;
    options.cluster_id = Uuid{{7}};
    options.node_id = BrokerId{1};
    options.commit_file_bytes = 64 << 10;
    options.commit_grow_bytes = 4096;
    open();
    append(5);
    append(5);
    REQUIRE(log().roll());
    append(5);
    append(5);
  }

  void open() {
    auto opened = storage::DataDirectory::open(files, options);
    if (!opened) FAIL(to_string(opened.error()));
    directory = std::move(opened->directory);
  }
  storage::PartitionLog& log() { return **directory->log(id, {}); }
  void append(int records) {
    const auto batch = make_batch(log().log_end_offset(), {.records = records, .epoch = LeaderEpoch{3}});
    REQUIRE(directory->append(id, std::span{&batch, 1}, MonotonicMs{0}));
    REQUIRE(directory->commit(MonotonicMs{0}));
  }
  void close() {
    REQUIRE(directory->close());
    directory.reset();
  }
  /// As kill -9 leaves it: no recovery points, everything in the commit log.
  void kill() { directory.reset(); }

  std::string file(const std::string& name) const { return partition + "/" + name; }
};

std::string read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream{path, std::ios::binary | std::ios::trunc} << content;
}

void flip(const std::string& path, std::size_t position) {
  auto content = read_file(path);
  REQUIRE(position < content.size());
  content[position] = static_cast<char>(content[position] ^ 1);
  write_file(path, content);
}

/// Names and contents of everything below `path`: to see that nothing was changed.
std::string everything(const std::string& path) {
  std::ostringstream all;
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(path)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const auto& one : paths) {
    all << one.string() << '\n';
    if (fs::is_regular_file(one)) all << read_file(one.string());
  }
  return all.str();
}

std::vector<nlohmann::json> objects(const std::string& lines) {
  std::vector<nlohmann::json> all;
  std::istringstream in{lines};
  for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
  return all;
}

std::vector<nlohmann::json> of_type(const std::vector<nlohmann::json>& all, const std::string& type) {
  std::vector<nlohmann::json> some;
  for (const auto& object : all) {
    if (object.at("type") == type) some.push_back(object);
  }
  return some;
}

Ran dump(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"debug", "dump-log"});
  return run_troupe(std::move(arguments));
}

Ran verify(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"debug", "verify-log"});
  return run_troupe(std::move(arguments));
}

/// verify-log on a data directory that is damaged in one place: that place alone is found, nothing is changed.
nlohmann::json only_finding(const DataFixture& fixture) {
  const auto before = everything(fixture.data);
  const auto ran = verify({"--json", fixture.data});
  INFO(ran.out << ran.err);
  CHECK(ran.exit_code == 1);
  const auto findings = of_type(objects(ran.out), "finding");
  REQUIRE(findings.size() == 1);
  CHECK(everything(fixture.data) == before);
  return findings.front();
}

}  // namespace

TEST_CASE("version is one line, or one JSON object", "[cli]") {
  const auto text = run_troupe({"version"});
  CHECK(text.exit_code == 0);
  CHECK_THAT(text.out, Catch::Matchers::StartsWith("troupe "));
  CHECK(std::count(text.out.begin(), text.out.end(), '\n') == 1);
  for (const auto* flag : {"--version", "-V"}) {
    const auto as_flag = run_troupe({flag});
    CHECK(as_flag.exit_code == 0);
    CHECK(as_flag.out == text.out);
  }
  const auto json = nlohmann::json::parse(run_troupe({"version", "--json"}).out);
  CHECK(json.contains("version"));
  CHECK(json.contains("commit"));
  CHECK(json.contains("compiler"));
}

TEST_CASE("wrong usage ends with 2, a missing path with 3, each with one sentence", "[cli]") {
  const TempDirectory folder;
  for (const auto& arguments : std::vector<std::vector<std::string>>{{},
                                                                     {"nonsense"},
                                                                     {"debug"},
                                                                     {"debug", "dump-log"},
                                                                     {"debug", "verify-log"},
                                                                     {"version", "--nonsense"},
                                                                     {"debug", "dump-log", "--from", "-3", "x"},
                                                                     {"debug", "dump-log", "--to", "abc", "x"}}) {
    const auto ran = run_troupe(arguments);
    CHECK(ran.exit_code == 2);
    CHECK_FALSE(ran.err.empty());
    CHECK(ran.out.empty());
  }
  CHECK(run_troupe({"nonsense"}).err == "troupe: unknown command \"nonsense\"; `troupe --help` lists them\n");
  CHECK(run_troupe({"debug", "nonsense"}).err == "troupe: unknown command \"nonsense\"; `troupe debug --help` lists them\n");
  for (const auto& command : {"dump-log", "verify-log"}) {
    const auto missing = run_troupe({"debug", command, folder / "missing"});
    CHECK(missing.exit_code == 3);
    CHECK(missing.err == "troupe: " + (folder / "missing") + ": No such file or directory\n");
  }
  write_file(folder / "file", "no log at all");
  CHECK(dump({folder / "file"}).exit_code == 1);
  CHECK_THAT(dump({folder / "file"}).err, Contains("not a file of a log"));
  CHECK(verify({folder / "file"}).exit_code == 2);
  CHECK(verify({folder.path()}).exit_code == 2);
  CHECK_THAT(verify({folder.path()}).err, Contains("neither a data directory"));
  CHECK(run_troupe({"--help"}).exit_code == 0);
}

TEST_CASE("a directory without rights is one sentence", "[cli]") {
  if (::geteuid() == 0) TROUPE_SKIP("machine: root may read everything");
  const TempDirectory folder;
  fs::create_directory(folder / "closed");
  fs::permissions(folder / "closed", fs::perms::none);
  const auto ran = verify({folder / "closed"});
  fs::permissions(folder / "closed", fs::perms::owner_all);
  CHECK(ran.exit_code == 1);
  CHECK_THAT(ran.err, Contains("Permission denied"));
}

TEST_CASE("dump-log shows the batches of a segment as a table", "[cli]") {
  DataFixture fixture;
  fixture.close();
  const auto ran = dump({fixture.file(second_log)});
  CHECK(ran.exit_code == 0);
  CHECK(ran.out == "segment " + fixture.file(second_log) +
                       ": 272 bytes\n"
                       "             OFFSETS    POSITION     BYTES  EPOCH   CODEC  RECORDS  FIRST TIMESTAMP           MAX "
                       "TIMESTAMP             CRC          PRODUCER\n"
                       "               10-14           0       136      3    none        5  2023-11-14T22:13:20.000Z  "
                       "2023-11-14T22:13:20.004Z  3fd63d7b ok  -\n"
                       "               15-19         136       136      3    none        5  2023-11-14T22:13:20.000Z  "
                       "2023-11-14T22:13:20.004Z  f7e0b82f ok  -\n");
}

TEST_CASE("dump-log prints records, within --from and --to", "[cli]") {
  DataFixture fixture;
  fixture.close();
  const auto text = dump({"--records", "--from", "7", "--to", "9", fixture.file(first_log)});
  CHECK_THAT(text.out, Contains("    7  2023-11-14T22:13:20.002Z  key null  value \"value-7\"\n    8  "));
  CHECK_THAT(text.out, !Contains("value-6") && !Contains("value-9"));
  const auto records = of_type(objects(dump({"--json", "-r", "--from", "12", fixture.partition}).out), "record");
  REQUIRE(records.size() == 8);
  CHECK(records.front().at("offset") == 12);
  CHECK(records.front().at("value") == "value-12");
  CHECK(records.front().at("key").is_null());
}

TEST_CASE("dump-log keeps what a record holds from driving a terminal, and shows other bytes as hex", "[cli]") {
  DataFixture fixture;
  const auto at = fixture.log().log_end_offset();
  const auto add = [&](Offset offset, const std::string& value) {
    const auto batch = make_batch(offset, {.value = value, .epoch = LeaderEpoch{3}});
    REQUIRE(fixture.directory->append(fixture.id, std::span{&batch, 1}, MonotonicMs{0}));
  };
  add(at, "\x1b[2J\xc2\x9b\x7f");
  add(at + 1, "\xff\xfe");
  REQUIRE(fixture.directory->commit(MonotonicMs{0}));
  fixture.close();
  const auto ran = dump({"-r", "--from", "20", fixture.file(second_log)});
  CHECK_THAT(ran.out, Contains(R"(value "\u001b[2J\u009b\u007f-20")") && Contains("value hex:fffe2d3231"));
  const auto records = of_type(objects(dump({"-r", "--json", "--from", "21", fixture.file(second_log)}).out), "record");
  REQUIRE(records.size() == 1);
  CHECK(records.front().at("value_hex") == "fffe2d3231");
}

TEST_CASE("dump-log says where a segment is damaged and goes on behind it", "[cli]") {
  DataFixture fixture;
  fixture.close();
  flip(fixture.file(first_log), 100);
  const auto ran = dump({"--json", fixture.file(first_log)});
  CHECK(ran.exit_code == 1);
  const auto all = objects(ran.out);
  REQUIRE(all.size() == 2);
  CHECK(all[0].at("type") == "damage");
  CHECK(all[0].at("position") == 0);
  CHECK(all[0].at("resumes_at") == all[1].at("position"));
  CHECK(all[1].at("base_offset") == 5);
  CHECK_THAT(
      dump({fixture.file(first_log)}).out,
      Contains("DAMAGED position 0, offset 0: checksum does not match (its header says: offsets 0-4, 131 bytes); goes on "
               "with the batch at position 131"));
}

TEST_CASE("dump-log shows every file of a data directory", "[cli]") {
  DataFixture fixture;
  fixture.kill();
  const auto all = objects(dump({"--json", fixture.data}).out);
  CHECK(of_type(all, "owner").size() == 1);
  CHECK(of_type(all, "turn").size() == 4);
  CHECK(of_type(all, "turn_entry").size() == 4);
  CHECK(of_type(all, "manifest_record").size() == 1);
  CHECK(of_type(all, "batch").size() == 8);
  CHECK(of_type(all, "index").size() == 1);
  CHECK(of_type(all, "state").size() == 1);
  CHECK(of_type(all, "leader_epoch").size() == 1);
  CHECK(of_type(all, "damage").empty());
  for (const auto& name : {"index", "state"}) {
    const auto path =
        fixture.file(name == std::string("index") ? "00000000000000000000.index" : "00000000000000000010.state");
    flip(path, 30);
    CHECK(dump({path}).exit_code == 1);
    CHECK_THAT(dump({path}).out, Contains("DAMAGED") && Contains("wrong checksum") && Contains("derived"));
  }
}

TEST_CASE("output that nobody reads is no failure", "[cli]") {
  DataFixture fixture;
  fixture.close();
  CHECK(run_troupe_unread({"debug", "dump-log", "-r", fixture.data}).exit_code == 0);
  CHECK(run_troupe_unread({"debug", "dump-log", "-r", fixture.data}).err.empty());
  CHECK(run_troupe_unread({"debug", "verify-log", fixture.data}).exit_code == 0);
}

TEST_CASE("verify-log finds nothing in a directory that was closed, killed, or is in use, and changes nothing", "[cli]") {
  DataFixture fixture;
  const auto how = GENERATE(0, 1, 2);
  if (how == 0) fixture.close();
  if (how == 1) fixture.kill();
  const auto before = everything(fixture.data);
  const auto ran = verify({fixture.data});
  INFO(ran.out << ran.err);
  CHECK(ran.exit_code == 0);
  CHECK_THAT(ran.out, Contains("1 partition, 2 segments, 4 batches, 20 records, 534 bytes checked: no findings\n"));
  CHECK((ran.out.find("a node is running here") != std::string::npos) == (how == 2));
  CHECK(verify({fixture.partition}).exit_code == 0);
  CHECK(everything(fixture.data) == before);
}

TEST_CASE("verify-log tells damage below the recovery point from what the commit log repairs", "[cli]") {
  DataFixture fixture;
  const bool closed = GENERATE(true, false);
  closed ? fixture.close() : fixture.kill();
  flip(fixture.file(first_log), 131 + 100);
  if (closed) fs::remove_all(fixture.data + "/commit");
  const auto finding = only_finding(fixture);
  CHECK(finding.at("position") == 131);
  CHECK(finding.at("offset") == 5);
  CHECK_THAT(finding.at("reason").get<std::string>(), Contains("checksum does not match"));
  CHECK_THAT(finding.at("means").get<std::string>(),
             Contains(closed ? "serves offsets below 5 and takes no appends" : "nothing is lost: the commit log holds"));
  CHECK(only_finding(fixture).at("file") == fixture.file(first_log));
}

TEST_CASE("verify-log calls a torn tail what it is, and none while a node runs", "[cli]") {
  DataFixture fixture;
  const bool running = GENERATE(true, false);
  if (!running) fixture.close();
  write_file(fixture.file(second_log), read_file(fixture.file(second_log)) + std::string(80, '\x01'));
  if (running) {
    const auto ran = verify({fixture.data});
    CHECK(ran.exit_code == 0);
    CHECK_THAT(ran.out, Contains("ends inside of a batch at position 272"));
    return;
  }
  // The index covers all there was when the log was closed; the bytes behind it are new.
  const auto finding = only_finding(fixture);
  CHECK(finding.at("position") == 272);
  CHECK(finding.at("offset") == 20);
  CHECK_THAT(finding.at("means").get<std::string>(), Contains("nobody was promised these 80 bytes"));
}

TEST_CASE("verify-log finds what is missing", "[cli]") {
  DataFixture fixture;
  fixture.close();
  SECTION("the end of a log") {
    const auto log = read_file(fixture.file(second_log));
    fs::remove_all(fixture.data + "/commit");
    fs::remove(fixture.file("00000000000000000010.index"));
    fs::remove(fixture.file("00000000000000000020.state"));
    write_file(fixture.file(second_log), log.substr(0, 136));
    const auto finding = only_finding(fixture);
    CHECK(finding.at("offset") == 15);
    CHECK_THAT(finding.at("reason").get<std::string>(), Contains("everything below offset 20 was on disk"));
  }
  SECTION("a segment in the middle of a name") {
    fs::rename(fixture.file(second_log), fixture.file("00000000000000000012.log"));
    fs::remove(fixture.file("00000000000000000010.index"));
    const auto ran = verify({fixture.data});
    CHECK(ran.exit_code == 1);
    CHECK_THAT(ran.out, Contains("begins at offset 12, but the segment before ends at 10") &&
                            Contains("base offset 10, expected 12"));
  }
  SECTION("all segments") {
    fs::remove_all(fixture.partition);
    CHECK_THAT(only_finding(fixture).at("means").get<std::string>(), Contains("the log is lost here"));
  }
  SECTION("the owner") {
    fs::remove(fixture.data + "/owner");
    CHECK(only_finding(fixture).at("reason") == "it is missing");
  }
}

TEST_CASE("verify-log finds damaged files beside the segments", "[cli]") {
  DataFixture fixture;
  fixture.close();
  SECTION("index and states cost time only") {
    const auto* name = GENERATE("00000000000000000000.index", "00000000000000000010.state", "00000000000000000020.state");
    flip(fixture.file(name), 12);
    const auto finding = only_finding(fixture);
    CHECK(finding.at("file") == fixture.file(name));
    CHECK_THAT(finding.at("means").get<std::string>(), Contains("no record is lost"));
  }
  SECTION("an index of another log with a right checksum") {
    fs::copy_file(fixture.file("00000000000000000010.index"), fixture.file("00000000000000000000.index"),
                  fs::copy_options::overwrite_existing);
    CHECK_THAT(only_finding(fixture).at("reason").get<std::string>(), Contains("of another segment"));
  }
  SECTION("checkpoints") {
    const auto* name = GENERATE("owner", "recovery-points", "log-start-offsets", "high-watermarks");
    flip(fixture.data + "/" + name, 18);
    const auto finding = only_finding(fixture);
    CHECK(finding.at("file") == fixture.data + "/" + name);
    CHECK_THAT(finding.at("reason").get<std::string>(), Contains("CRC-32C"));
  }
  SECTION("the manifest") {
    fs::remove(fixture.data + "/manifest");
    const auto ran = verify({fixture.data});
    CHECK(ran.exit_code == 1);
    CHECK_THAT(ran.out, Contains("it does not know partition " + topic + "/0"));
  }
}

TEST_CASE("verify-log finds damage in the middle of the commit log", "[cli]") {
  DataFixture fixture;
  fixture.kill();
  flip(fixture.data + "/commit/00000000000000000001.commit", 4096 + 100);
  CHECK_THAT(only_finding(fixture).at("means").get<std::string>(), Contains("acknowledged batches of those turns are lost"));
}
