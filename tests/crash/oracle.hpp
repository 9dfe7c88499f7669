#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/prng.hpp"
#include "storage/data_directory.hpp"
#include "tests/support/faulty_file_system.hpp"

/// What a data directory may hold after a crash: told by who used it, and compared with what recovery made of the disk.
namespace troupe::test {

struct StoredBatch {
  Offset base;
  Offset next;
  ByteBuffer bytes;  ///< as it must lie in the log: stamped with offset and epoch
};

/// One story of one partition. A recovered log has to be a prefix of `batches`, and reach `end_min`. Below `compacted_max` records may be
/// missing of which it has a later one with the same key.
struct Lineage {
  Offset base{0};  ///< where the story begins: 0, or the last reset
  std::vector<std::shared_ptr<const StoredBatch>> batches = {};
  Offset end_min{0};    ///< everything below was promised
  Offset start_min{0};  ///< the log start that was made durable
  Offset start_max{0};  ///< the highest that was asked for
  Offset compacted_max{0};

  Offset end() const { return batches.empty() ? base : batches.back()->next; }
  void cut(Offset offset);
};

struct PartitionOracle {
  storage::LogConfig config;
  Lineage log;
  std::optional<Lineage> otherwise = {};  ///< while a reset is under way: what it may have become already
  bool may_be_gone = false;               ///< a removal was asked for
  bool may_be_there = true;               ///< false once the removal succeeded
  LeaderEpoch epoch{0};
};

struct Oracle {
  storage::DataDirectory::Options options;
  std::unordered_map<TopicIdPartition, PartitionOracle> partitions = {};

  /// After a process was killed everything that was written is there: nothing that was acknowledged may be lost, synced or not.
  void promise_acknowledged();
};

/// How far an image is followed after its recovery.
struct Follow {
  int rounds = 1;             ///< append, commit, cut the power again
  bool cut_recovery = false;  ///< the power goes during the first recovery, too
};

/// Recovers `image` and holds it against `oracle`. Returns what is wrong, nullopt when nothing is.
std::optional<std::string> check_image(FaultyFileSystem image, Oracle oracle, Prng& random, const Follow& follow);

/// Compares one log with its lineages; on success `recovered` is the story so far.
std::optional<std::string> check_log(const storage::PartitionLog& log, const PartitionOracle& oracle, Lineage& recovered);

/// A batch of `size` bytes or so for the end of a log, with a producer now and then. A dozen keys, some records are tombstones.
storage::PlacedBatch random_batch(Offset base, LeaderEpoch epoch, Prng& random);
std::shared_ptr<const StoredBatch> stored(const storage::PlacedBatch& batch);

/// Sends the log of the libraries to nowhere while it lives: a bad disk is worth an error line, twenty thousand are not.
class QuietLog {
 public:
  QuietLog();
  ~QuietLog();
  /// What was logged since the last call.
  std::string take();
  QuietLog(const QuietLog&) = delete;
  QuietLog& operator=(const QuietLog&) = delete;

 private:
  int stderr_;
  int log_;
};

/// TROUPE_CRASH_FACTOR, 1 by default: how many times as much is tried.
std::size_t crash_factor();

}  // namespace troupe::test
