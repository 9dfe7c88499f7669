#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include <poll.h>
#include <unistd.h>

#include "base/prng.hpp"
#include "core/record/record_batch.hpp"
#include "storage/data_directory.hpp"
#include "storage/posix_file_system.hpp"
#include "tests/crash/process/arguments.hpp"
#include "tests/crash/process/known_record.hpp"

/// Writes known records to a data directory until it is done or dies, and says on standard output what it was promised
/// (history.hpp). Exit code: 0 all well, 1 an error was printed, 2 wrong arguments.
///
///   log_writer --directory=D [--seed=N] [--partitions=N] [--turns=N, 0: for ever] [--turn-batches=N] [--flush=fsync|interval]
///              [--operations=truncate=40,reset=200,retention=10,start=30,checkpoint=60,read=5]    each: once in N turns
///              [--on-error=stop|continue] ...

namespace troupe::test {
namespace {

struct Options {
  std::string directory;
  std::uint64_t cluster = 1;
  std::uint64_t node = 1;
  std::uint64_t seed = 1;
  std::int32_t partitions = 3;
  std::uint64_t turns = 100;
  std::uint64_t turn_batches = 4;
  std::uint64_t first_sequence = 0;
  std::size_t value_bytes_max = 100 << 10;
  std::uint64_t pause_ms = 5;  ///< after a turn with an error
  std::uint64_t pace_ms = 0;   ///< after every turn
  bool stop_on_error = true;
  bool close = true;
  std::map<std::string, std::uint64_t> operations;
  storage::LogConfig config;
  storage::DataDirectory::Options data;
};

std::map<std::string, std::uint64_t> parse_operations(const std::string& text) {
  std::map<std::string, std::uint64_t> operations;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find(',', at), text.size());
    const auto equals = text.find('=', at);
    if (equals >= end) {
      std::fprintf(stderr, "--operations: wanted name=N, got %s\n", text.substr(at, end - at).c_str());
      std::exit(2);
    }
    operations[text.substr(at, equals - at)] = std::strtoull(text.c_str() + equals + 1, nullptr, 10);
    at = end + 1;
  }
  return operations;
}

Options parse(int argc, char** argv) {
  Arguments arguments{argc, argv};
  Options options;
  options.directory = arguments.text("directory");
  options.cluster = arguments.number("cluster", options.cluster);
  options.node = arguments.number("node", options.node);
  options.seed = arguments.number("seed", options.seed);
  options.partitions = static_cast<std::int32_t>(arguments.number("partitions", 3));
  options.turns = arguments.number("turns", options.turns);
  options.turn_batches = arguments.number("turn-batches", options.turn_batches);
  options.first_sequence = arguments.number("first-sequence", 0);
  options.value_bytes_max = arguments.number("value-bytes-max", options.value_bytes_max);
  options.pause_ms = arguments.number("pause-ms", options.pause_ms);
  options.pace_ms = arguments.number("pace-ms", options.pace_ms);
  options.stop_on_error = arguments.text("on-error", "stop") == "stop";
  options.close = arguments.number("close", 1) == 1;
  options.operations =
      parse_operations(arguments.text("operations", "truncate=40,reset=200,retention=10,start=30,checkpoint=60,read=20"));
  options.config.flush =
      arguments.text("flush", "fsync") == "fsync" ? storage::FlushPolicy::fsync : storage::FlushPolicy::interval;
  options.config.flush_interval_ms = static_cast<Millis>(arguments.number("flush-interval-ms", 100));
  options.config.segment_bytes_max = static_cast<std::uint32_t>(arguments.number("segment-bytes", 128 << 10));
  options.config.retention_ms = -1;
  options.config.retention_records = static_cast<std::int64_t>(arguments.number("retention-records", 2000));
  options.data.path = options.directory;
  options.data.cluster_id = Uuid{{static_cast<std::uint8_t>(options.cluster)}};
  options.data.node_id = BrokerId{static_cast<std::int32_t>(options.node)};
  options.data.commit_file_bytes = arguments.number("commit-file-bytes", 256 << 10);
  options.data.commit_grow_bytes = arguments.number("commit-grow-bytes", 64 << 10);
  options.data.open_files_max = arguments.number("open-files-max", 1024);
  options.data.dirty_files_max = arguments.number("dirty-files-max", 1024);
  arguments.finish();
  return options;
}

/// The same clock for every process of this machine, so that a test can compare it with its own.
MonotonicMs monotonic_now() {
  return MonotonicMs{
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count()};
}

/// One line, one write: whoever reads it knows that it was said as a whole.
void say(std::string line) {
  std::replace(line.begin(), line.end(), '\n', ' ');
  line += '\n';
  if (::write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::_Exit(3);
}

class Writer {
 public:
  Writer(const Options& options, storage::DataDirectory& directory)
      : options_(options),
        directory_(directory),
        prng_(options.seed),
        partitions_(static_cast<std::size_t>(options.partitions)) {}

  void run() {
    for (std::int32_t i = 0; i < options_.partitions; ++i) {
      (void)log(i);
      if (stopped_) return;
    }
    for (std::uint64_t turn = 0; (options_.turns == 0 || turn < options_.turns) && !stopped_; ++turn) {
      const auto errors = errors_;
      write_turn();
      if (!stopped_) flush();
      for (const auto& [name, period] : options_.operations) {
        const auto partition = static_cast<std::int32_t>(prng_.below(partitions_.size()));
        if (!stopped_ && prng_.chance(1, period)) perform(name, partition);
      }
      // As clients do: one that was refused backs off.
      if (const auto pause = errors_ != errors ? options_.pause_ms : options_.pace_ms; pause > 0)
        (void)::poll(nullptr, 0, static_cast<int>(pause));
    }
  }

  bool check(const Status& status) {
    if (status) return true;
    ++errors_;
    say("error " + to_string(status.error()));
    stopped_ = stopped_ || options_.stop_on_error;
    return false;
  }

  std::size_t errors() const { return errors_; }

 private:
  struct Partition {
    bool opened = false;
    std::uint64_t next_sequence = 0;
    std::deque<Offset> batches;  ///< base offsets of this run, for truncations
  };

  storage::PartitionLog* log(std::int32_t number) {
    auto found = directory_.log(known_partition(number), options_.config);
    if (!found) {
      check(std::move(found).error());
      return nullptr;
    }
    auto& partition = partitions_[static_cast<std::size_t>(number)];
    if (!partition.opened) {
      partition.opened = true;
      partition.next_sequence = options_.first_sequence;
      say("open " + std::to_string(number) + " " + to_string((*found)->log_end_offset()));
    }
    return *found;
  }

  void write_turn() {
    const auto now = monotonic_now();
    auto ack = "ack " + to_string(now);
    const auto nothing = ack.size();
    for (auto i = prng_.below(options_.turn_batches) + 1; i > 0 && !stopped_; --i) {
      const auto number = static_cast<std::int32_t>(next_++ % partitions_.size());
      append(number, now, ack);
    }
    if (stopped_) return;
    if (check(directory_.commit(now)) && ack.size() > nothing) say(ack);
  }

  void append(std::int32_t number, MonotonicMs now, std::string& ack) {
    auto* log = this->log(number);
    if (log == nullptr) return;
    auto& partition = partitions_[static_cast<std::size_t>(number)];
    const auto base = log->log_end_offset();
    const auto count = prng_.below(6) + 1;
    record::RecordBatchBuilder builder{
        {.codec = prng_.chance(1, 4) ? record::CompressionCodec::lz4 : record::CompressionCodec::none}};
    for (std::uint64_t i = 0; i < count; ++i) {
      const KnownRecord known{number, partition.next_sequence + i};
      add_known_record(builder, known, value_bytes_of(known, options_.value_bytes_max));
    }
    auto bytes = builder.build();
    if (!bytes) {
      check(std::move(bytes).error());
      return;
    }
    const storage::PlacedBatch batch{base, LeaderEpoch{0}, Bytes::adopt(std::move(*bytes))};
    if (!check(directory_.append(known_partition(number), std::span{&batch, 1}, now))) return;
    for (std::uint64_t i = 0; i < count; ++i) {
      ack += " " + std::to_string(number) + ":" + to_string(base + static_cast<std::int64_t>(i)) + ":" +
             std::to_string(partition.next_sequence + i);
    }
    partition.next_sequence += count;
    partition.batches.push_back(base);
    if (partition.batches.size() > 8) partition.batches.pop_front();
  }

  void flush() {
    const auto now = monotonic_now();
    const auto due = directory_.next_deadline();
    if (!due || *due > now) return;
    if (check(directory_.on_deadline(now))) say("flushed " + to_string(now + -options_.config.flush_interval_ms));
  }

  void perform(const std::string& name, std::int32_t number) {
    auto* log = this->log(number);
    if (log == nullptr) return;
    if (name == "truncate") {
      truncate(number, *log);
    } else if (name == "reset") {
      reset(number, *log);
    } else if (name == "retention") {
      retention(number, *log);
    } else if (name == "start") {
      advance_start(number, *log);
    } else if (name == "checkpoint") {
      check(directory_.checkpoint());
    } else if (name == "read") {
      read(*log);
    } else {
      std::fprintf(stderr, "--operations: unknown %s\n", name.c_str());
      std::exit(2);
    }
  }

  void truncate(std::int32_t number, storage::PartitionLog& log) {
    auto& partition = partitions_[static_cast<std::size_t>(number)];
    if (partition.batches.empty()) return;
    const auto at = prng_.below(partition.batches.size());
    const auto offset = partition.batches[at];
    if (offset < log.log_start_offset()) return;
    const auto where = std::to_string(number) + " " + to_string(offset);
    say("cut? " + where);
    if (!check(directory_.truncate(known_partition(number), offset))) return;
    say("cut " + where + " " + std::to_string(partition.next_sequence - 1));
    partition.batches.resize(at);
  }

  void reset(std::int32_t number, storage::PartitionLog& log) {
    auto& partition = partitions_[static_cast<std::size_t>(number)];
    if (partition.next_sequence == options_.first_sequence) return;
    const auto where = std::to_string(number) + " " + to_string(log.log_end_offset() + 100);
    say("reset? " + where);
    if (!check(directory_.reset(known_partition(number), log.log_end_offset() + 100))) return;
    say("reset " + where + " " + std::to_string(partition.next_sequence - 1));
    partition.batches.clear();
  }

  void retention(std::int32_t number, storage::PartitionLog& log) {
    const auto id = known_partition(number);
    const auto highest = log.log_end_offset() + -options_.config.retention_records;
    if (highest <= log.log_start_offset()) return;
    directory_.set_high_watermark(id, log.log_end_offset());
    say("start? " + std::to_string(number) + " " + to_string(highest));
    const auto moved = directory_.apply_retention(id, std::nullopt);
    if (moved ? check(ok()) : check(moved.error()))
      say("start " + std::to_string(number) + " " + to_string(log.log_start_offset()));
  }

  void advance_start(std::int32_t number, storage::PartitionLog& log) {
    const auto kept = log.log_end_offset().value() - log.log_start_offset().value();
    if (kept < 8) return;
    const auto offset =
        log.log_start_offset() + static_cast<std::int64_t>(prng_.below(static_cast<std::uint64_t>(kept / 4)));
    const auto where = std::to_string(number) + " " + to_string(offset);
    say("start? " + where);
    if (check(directory_.advance_log_start(known_partition(number), offset))) say("start " + where);
  }

  /// Reads a little from somewhere: what is there stays readable whatever happens to the writes.
  void read(storage::PartitionLog& log) {
    const auto view = log.view();
    const auto kept = view.log_end_offset().value() - view.log_start_offset().value();
    if (kept == 0) return;
    const auto from = view.log_start_offset() + static_cast<std::int64_t>(prng_.below(static_cast<std::uint64_t>(kept)));
    const auto slice = view.read(from, 64 << 10);
    if (!slice) {
      check(slice.error());
      return;
    }
    const auto batch = record::parse_batch(slice->batches.view());
    if (!batch || !record::crc_matches(*batch)) {
      check(Error{Errc::corrupt_message, "a batch read back at " + to_string(from) + " is not whole"});
      return;
    }
    say("read " + std::to_string(slice->batches.size()));
  }

  const Options& options_;
  storage::DataDirectory& directory_;
  Prng prng_;
  std::vector<Partition> partitions_;
  std::uint64_t next_ = 0;
  std::size_t errors_ = 0;
  bool stopped_ = false;
};

int run(int argc, char** argv) {
  const auto options = parse(argc, argv);
  // As every program on PosixFileSystem must: a write beyond RLIMIT_FSIZE is an error then, and not the end.
  std::signal(SIGXFSZ, SIG_IGN);
  storage::PosixFileSystem files;
  auto opened = storage::DataDirectory::open(files, options.data);
  if (!opened) {
    say("error " + to_string(opened.error()));
    return 1;
  }
  for (const auto& finding : opened->findings) say("finding " + finding);
  Writer writer{options, *opened->directory};
  writer.run();
  if (opened->directory->failure()) say("failed " + *opened->directory->failure());
  if (options.close && writer.check(opened->directory->close())) say("closed");
  return writer.errors() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace troupe::test

int main(int argc, char** argv) { return troupe::test::run(argc, argv); }
