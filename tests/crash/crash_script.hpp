#pragma once

#include <functional>
#include <string>

#include "tests/crash/oracle.hpp"

namespace troupe::test {

/// A process that uses a data directory at random, and an oracle that knows at every moment what may be on the disk.
class CrashScript {
 public:
  explicit CrashScript(std::uint64_t seed);

  /// Does one random thing. False: it failed, see `failure`.
  bool step();

  /// Called after each operation that changed the disk.
  void on_change(std::function<void()> visit);

  const FaultyFileSystem& disk() const { return disk_; }
  const Oracle& oracle() const { return oracle_; }
  const std::string& failure() const { return failure_; }
  const std::string& steps() const { return steps_; }
  /// Segments that compaction has put into logs.
  std::size_t swaps() const { return swaps_; }

 private:
  using Entry = std::pair<const TopicIdPartition, PartitionOracle>;

  bool open();
  bool fail(const std::string& what, const Status& status);
  Entry& any_partition();
  void add_partition();
  Offset any_boundary(const Lineage& log);

  bool append();
  bool commit();
  bool truncate();
  bool reset();
  bool advance_log_start();
  bool retention();
  bool clean();
  bool flush();
  bool checkpoint();
  bool change_flush();
  bool remove();
  bool reopen();
  bool kill();

  Prng random_;
  FaultyFileSystem disk_;
  Oracle oracle_;
  std::vector<TopicIdPartition> order_;  ///< for choosing: the oracle's map has none that can be repeated
  std::unique_ptr<storage::DataDirectory> directory_;
  MonotonicMs now_{0};
  std::function<void()> visit_;
  std::string steps_;
  std::size_t swaps_ = 0;
  std::string failure_;
};

}  // namespace troupe::test
