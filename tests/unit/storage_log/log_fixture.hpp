#pragma once

#include "storage/partition_log.hpp"
#include "tests/support/batches.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/faulty_file_system.hpp"

namespace troupe::test {

/// One partition log on a disk in memory. `restart` is kill -9 and a new process; `power_cut` loses what was not synced.
struct LogFixture {
  FaultyFileSystem disk;
  storage::LogConfig config{.segment_bytes_max = 4096, .index_interval_bytes = 256};
  storage::LogExpectation expectation;
  std::unique_ptr<storage::PartitionLog> log;

  LogFixture() {
    REQUIRE(disk.create_directories("/data"));
    REQUIRE(disk.sync_directory("/"));
    open();
  }

  void open() {
    log.reset();
    auto files = std::make_shared<storage::OpenFiles>(disk, std::move(*disk.open_barrier("/data")), 8);
    auto opened = storage::PartitionLog::open(std::move(files), {"/data/log", "/data/quarantine"}, config, expectation);
    if (!opened) FAIL(to_string(opened.error()));
    log = std::move(*opened);
  }

  void restart() {
    disk.process_kill();
    open();
  }

  void append(int records, BatchSpec spec = {}) {
    spec.records = records;
    const auto batch = make_batch(log->log_end_offset(), spec);
    const auto status = log->append(std::span{&batch, 1});
    if (!status) FAIL(to_string(status.error()));
  }

  void append_batches(int batches, int records = 1, const BatchSpec& spec = {}) {
    for (int i = 0; i < batches; ++i) append(records, spec);
  }

  std::vector<std::string> records(Offset from = Offset{0}) {
    return read_log(log->view(), std::max(from, log->log_start_offset()));
  }
  void check_holds(Offset from, Offset to) {
    CHECK(log->log_end_offset() == to);
    CHECK(records(from) == expected_records(from, to));
  }
};

}  // namespace troupe::test
