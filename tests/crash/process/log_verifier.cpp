#include <csignal>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "core/record/record_batch.hpp"
#include "storage/data_directory.hpp"
#include "storage/posix_file_system.hpp"
#include "tests/crash/process/arguments.hpp"
#include "tests/crash/process/history.hpp"
#include "tests/crash/process/known_record.hpp"

/// Opens a data directory as a restart would, reads every record and holds it against what log_writer was promised; appends once
/// more and looks again. One line per violation, then one line of JSON. Exit code: 0 none, 1 violations, 2 wrong arguments.
///
///   log_verifier --directory=D --history=FILE [--loss=none|unflushed] [--unclean=refused|allowed] [--cluster=N] [--node=N]
///
/// --loss=unflushed: acknowledged under FlushPolicy::interval, and the power was cut: what was not flushed may be missing, from
/// the end only. What the verifier found and wrote goes into the history, so that the next run is held against it.

namespace troupe::test {
namespace {

struct Options {
  std::string directory;
  std::string history;
  bool unflushed_may_go = false;
  bool unclean_allowed = false;
  storage::DataDirectory::Options data;
  storage::LogConfig config;
};

Options parse(int argc, char** argv) {
  Arguments arguments{argc, argv};
  Options options;
  options.directory = arguments.text("directory");
  options.history = arguments.text("history");
  options.unflushed_may_go = arguments.text("loss", "none") == "unflushed";
  options.unclean_allowed = arguments.text("unclean", "refused") == "allowed";
  options.data.path = options.directory;
  options.data.cluster_id = Uuid{{static_cast<std::uint8_t>(arguments.number("cluster", 1))}};
  options.data.node_id = BrokerId{static_cast<std::int32_t>(arguments.number("node", 1))};
  options.data.commit_file_bytes = 256 << 10;
  options.data.commit_grow_bytes = 64 << 10;
  options.config.segment_bytes_max = 128 << 10;
  arguments.finish();
  return options;
}

struct Totals {
  std::size_t records = 0;
  std::size_t acks_found = 0;
  std::size_t acks_lost = 0;  ///< allowed to
  std::size_t unclean = 0;
  std::size_t repaired_batches = 0;
  std::size_t findings = 0;
};

class Verifier {
 public:
  Verifier(const Options& options, History history) : options_(options), history_(std::move(history)) {}

  void run() {
    storage::PosixFileSystem files;
    for (const bool first : {true, false}) {
      auto opened = storage::DataDirectory::open(files, options_.data);
      if (!opened) return violation("the directory does not open: " + to_string(opened.error()));
      auto& directory = *opened->directory;
      for (const auto& finding : opened->findings) look_at_finding(finding);
      if (first) {
        totals_.repaired_batches = opened->repaired_batches;
        verify_all(directory, &totals_);
        if (violations_ > 0) return;
        go_on(directory);
      }
      Totals again;
      verify_all(directory, &again);
      if (const auto closed = directory.close(); !closed) violation("close: " + to_string(closed.error()));
    }
    if (violations_ == 0) note("settled");
  }

  int report() const {
    std::printf(
        "{\"violations\": %zu, \"partitions\": %zu, \"records\": %zu, \"acks\": %zu, \"acks_found\": %zu, \"acks_lost\": "
        "%zu, "
        "\"unclean\": %zu, \"repaired_batches\": %zu, \"findings\": %zu, \"errors\": %zu}\n",
        violations_, history_.partitions.size(), totals_.records, history_.acks, totals_.acks_found, totals_.acks_lost,
        totals_.unclean, totals_.repaired_batches, totals_.findings, history_.errors);
    return violations_ == 0 ? 0 : 1;
  }

 private:
  void violation(const std::string& what) {
    ++violations_;
    std::printf("VIOLATION %s\n", what.c_str());
  }

  /// For the next run on this directory.
  void note(const std::string& line) { std::ofstream{options_.history, std::ios::app} << line + "\n"; }

  /// Files are replaced whole (S5): whatever was cut off, none of ours is ever found damaged.
  void look_at_finding(const std::string& finding) {
    ++totals_.findings;
    if (finding.find("damaged") != std::string::npos || finding.find("unknown entry") != std::string::npos)
      violation("finding: " + finding);
  }

  void verify_all(storage::DataDirectory& directory, Totals* totals) {
    for (auto& [number, expected] : history_.partitions) {
      const auto log = directory.log(known_partition(number), options_.config);
      if (!log) {
        violation("partition " + std::to_string(number) + " does not open: " + to_string(log.error()));
        continue;
      }
      const auto& health = (*log)->health();
      if (health.kind == storage::LogHealth::Kind::unclean) ++totals->unclean;
      const bool bearable = health.kind == storage::LogHealth::Kind::good ||
                            (health.kind == storage::LogHealth::Kind::unclean && options_.unclean_allowed);
      if (!bearable) {
        violation("partition " + std::to_string(number) + " is " + std::string(to_string(health.kind)) + ": " +
                  health.reason);
      }
      verify(number, expected, (*log)->view(), totals);
    }
  }

  void verify(std::int32_t number, PartitionHistory& expected, const storage::LogView& view, Totals* totals) {
    const auto where = "partition " + std::to_string(number) + ": ";
    const auto start = view.log_start_offset().value();
    const auto end = view.log_end_offset().value();
    if (!expected.acks.empty() && start > std::max(expected.start_max(), expected.acks.begin()->first)) {
      violation(where + "the log starts at " + std::to_string(start) + ", at most " + std::to_string(expected.start_max()) +
                " was asked for");
    }
    std::vector<KnownRecord> records;  // of offsets from `start` on
    if (!read(view, where, number, records)) return;
    totals->records += records.size();
    check_order(where, expected, start, records);
    highest_read_[number] = records.empty() ? 0 : records.back().sequence;

    std::size_t lost = 0;
    for (const auto& [offset, ack] : expected.acks) {
      if (offset < expected.start_max() && offset < start) continue;
      if (offset >= start && offset < end) {
        const auto& record = records[static_cast<std::size_t>(offset - start)];
        if (record.sequence == ack.sequence) {
          ++totals->acks_found;
        } else {
          violation(where + "offset " + std::to_string(offset) + " was acknowledged for sequence " +
                    std::to_string(ack.sequence) + " and holds " + std::to_string(record.sequence));
        }
        continue;
      }
      const bool durable =
          !options_.unflushed_may_go || ack.appended_ms <= std::max(history_.flushed_ms, expected.settled_ms);
      if (durable || offset < start) {
        violation(where + "offset " + std::to_string(offset) + ", sequence " + std::to_string(ack.sequence) +
                  " was acknowledged and is lost; the log is [" + std::to_string(start) + ", " + std::to_string(end) + ")");
      } else {
        ++lost;
      }
    }
    totals->acks_lost += lost;
    if (lost > 0) {
      note("lost " + std::to_string(number) + " " + std::to_string(end));
      expected.acks.erase(expected.acks.lower_bound(end), expected.acks.end());
    }
  }

  /// All records from the log start to its end, each whole and at its place.
  bool read(const storage::LogView& view, const std::string& where, std::int32_t number, std::vector<KnownRecord>& records) {
    auto offset = view.log_start_offset();
    storage::ReadPosition position;
    while (offset < view.log_end_offset()) {
      const auto slice = view.read(offset, 64 << 10, Offset::max(), position);
      if (!slice) {
        violation(where + "reading at " + to_string(offset) + ": " + to_string(slice.error()));
        return false;
      }
      if (slice->next_offset <= offset) {
        violation(where + "reading at " + to_string(offset) + " brings nothing below the log end " +
                  to_string(view.log_end_offset()));
        return false;
      }
      if (const auto parsed = parse(slice->batches.view(), offset, number, records); !parsed) {
        violation(where + to_string(parsed.error()));
        return false;
      }
      offset = slice->next_offset;
      position = slice->position;
      const auto count = static_cast<std::int64_t>(records.size());
      if (view.log_start_offset() + count != offset) {
        violation(where + "offsets are not dense before " + to_string(offset));
        return false;
      }
    }
    return true;
  }

  static Status parse(ByteView bytes, Offset from, std::int32_t number, std::vector<KnownRecord>& records) {
    auto expected = from;
    while (!bytes.empty()) {
      TROUPE_TRY_ASSIGN(const auto batch, record::parse_batch(bytes));
      if (!record::crc_matches(batch)) return Error{Errc::corrupt_message, "a batch that was served has a wrong checksum"};
      TROUPE_TRY_ASSIGN(const auto block, record::open_records(batch, {}));
      record::RecordReader reader{batch.header, block.bytes};
      while (const auto record = reader.next()) {
        TROUPE_TRY_ASSIGN(const auto known, parse_known_record(*record));
        if (known.partition != number)
          return Error{Errc::corrupt_message, "a record of partition " + std::to_string(known.partition)};
        if (record->offset < from) continue;
        if (record->offset != expected) {
          return Error{Errc::corrupt_message,
                       "offset " + to_string(record->offset) + " where " + to_string(expected) + " was expected"};
        }
        ++expected;
        records.push_back(known);
      }
      TROUPE_TRY(reader.finish());
      bytes = bytes.subspan(batch.bytes.size());
    }
    return ok();
  }

  /// What was appended, in this order, and nothing that a truncation took away.
  void check_order(const std::string& where, const PartitionHistory& expected, std::int64_t start,
                   const std::vector<KnownRecord>& records) {
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto offset = start + static_cast<std::int64_t>(i);
      const auto sequence = records[i].sequence;
      if (i > 0) {
        const auto previous = records[i - 1].sequence;
        const bool joins = sequence == previous + 1 || (sequence > previous && expected.seams.contains(offset));
        if (!joins) {
          violation(where + "sequence " + std::to_string(sequence) + " at offset " + std::to_string(offset) + " follows " +
                    std::to_string(previous));
        }
      }
      for (const auto& gone : expected.gone) {
        if (offset >= gone.offset && sequence <= gone.sequence) {
          violation(where + "sequence " + std::to_string(sequence) + " at offset " + std::to_string(offset) +
                    " is back after a truncation to " + std::to_string(gone.offset));
        }
      }
    }
  }

  /// The log goes on after whatever happened to it.
  void go_on(storage::DataDirectory& directory) {
    for (auto& [number, expected] : history_.partitions) {
      const auto id = known_partition(number);
      const auto log = directory.log(id, options_.config);
      if (!log) return violation("partition " + std::to_string(number) + ": " + to_string(log.error()));
      const auto end = (*log)->log_end_offset();
      const KnownRecord known{number, next_sequence(number, expected)};
      record::RecordBatchBuilder builder;
      add_known_record(builder, known, 1000);
      const storage::PlacedBatch batch{end, LeaderEpoch{0}, Bytes::adopt(*builder.build())};
      if (const auto appended = directory.append(id, std::span{&batch, 1}, MonotonicMs{0}); !appended)
        return violation("partition " + std::to_string(number) + " does not go on: " + to_string(appended.error()));
      note("open " + std::to_string(number) + " " + to_string(end));
      note("ack 0 " + std::to_string(number) + ":" + to_string(end) + ":" + std::to_string(known.sequence));
      expected.seams.insert(end.value());
      expected.acks[end.value()] = {known.sequence, 0};
    }
    if (const auto committed = directory.commit(MonotonicMs{0}); !committed)
      violation("commit: " + to_string(committed.error()));
  }

  /// Above everything that this partition has seen so far.
  std::uint64_t next_sequence(std::int32_t number, const PartitionHistory& expected) const {
    auto highest = highest_read_.at(number);
    for (const auto& [offset, ack] : expected.acks) highest = std::max(highest, ack.sequence);
    for (const auto& gone : expected.gone) highest = std::max(highest, gone.sequence);
    return highest + 1;
  }

  const Options& options_;
  History history_;
  Totals totals_;
  std::map<std::int32_t, std::uint64_t> highest_read_;
  std::size_t violations_ = 0;
};

int run(int argc, char** argv) {
  const auto options = parse(argc, argv);
  std::signal(SIGXFSZ, SIG_IGN);
  auto history = read_history(options.history);
  if (!history) {
    std::printf("VIOLATION %s\n", to_string(history.error()).c_str());
    return 1;
  }
  Verifier verifier{options, std::move(*history)};
  verifier.run();
  return verifier.report();
}

}  // namespace
}  // namespace troupe::test

int main(int argc, char** argv) { return troupe::test::run(argc, argv); }
