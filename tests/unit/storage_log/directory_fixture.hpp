#pragma once

#include "storage/data_directory.hpp"
#include "tests/support/batches.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/faulty_file_system.hpp"

namespace troupe::test {

inline TopicIdPartition partition(int number) { return {Uuid{{9, 9}}, PartitionId{number}}; }

/// A data directory on a disk in memory. `restart` is kill -9 and a new process; `power_cut` loses what was not synced.
struct DirectoryFixture {
  FaultyFileSystem disk;
  storage::LogConfig config{.segment_bytes_max = 8192, .index_interval_bytes = 256};
  storage::DataDirectory::Options options{.path = "/data",
                                          .cluster_id = Uuid{{7}},
                                          .node_id = BrokerId{1},
                                          .commit_file_bytes = 64 << 10,
                                          .commit_grow_bytes = 16 << 10};
  storage::DataDirectory::Opened opened;
  MonotonicMs now{0};

  DirectoryFixture() { open(); }

  void open() {
    opened.directory.reset();
    auto result = storage::DataDirectory::open(disk, options);
    if (!result) FAIL(to_string(result.error()));
    opened = std::move(*result);
  }
  void restart() {
    disk.process_kill();
    open();
  }
  void power_cut() {
    KeepSynced choices;
    disk = disk.power_cut(choices);
    open();
  }
  storage::DataDirectory& directory() { return *opened.directory; }

  storage::PartitionLog& log(int number) {
    auto log = directory().log(partition(number), config);
    if (!log) FAIL(to_string(log.error()));
    return **log;
  }
  Status append(int number, int records, const std::string& value = "value") {
    const auto batch = make_batch(log(number).log_end_offset(), {.records = records, .value = value});
    return directory().append(partition(number), std::span{&batch, 1}, now);
  }
  void append_and_commit(int number, int records) {
    REQUIRE(append(number, records));
    REQUIRE(directory().commit(now));
  }
  void check_holds(int number, Offset to) {
    CHECK(log(number).log_end_offset() == to);
    CHECK(log(number).health().kind == storage::LogHealth::Kind::good);
    CHECK(read_log(log(number).view(), Offset{0}) == expected_records(Offset{0}, to));
  }
};

}  // namespace troupe::test
