#include <cstdio>
#include <string>
#include <vector>

#include "bench/measure.hpp"
#include "core/record/batch_validator.hpp"
#include "storage/data_directory.hpp"
#include "storage/posix_file_system.hpp"

/// storage alone, without actors: what the disk actors stand on.
///
///   log_direct append DIRECTORY BATCHES PARTITIONS WINDOW interval|fsync   a turn is WINDOW batches, round robin
///   log_direct read DIRECTORY

namespace {

using namespace troupe;

TopicIdPartition partition(std::size_t number) { return {Uuid{{1}}, PartitionId{static_cast<std::int32_t>(number)}}; }

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", to_string(result.error()).c_str());
    std::exit(1);
  }
  return std::move(result).value();
}
void must(Status status) {
  if (!status) {
    std::fprintf(stderr, "%s\n", to_string(status.error()).c_str());
    std::exit(1);
  }
}

bench::Figures append(storage::DataDirectory& directory, std::size_t batches, std::size_t partitions, std::size_t window,
                      const storage::LogConfig& config) {
  const auto bytes = Bytes::adopt(bench::make_batch());
  std::vector<storage::PartitionLog*> logs;
  for (std::size_t i = 0; i < partitions; ++i) logs.push_back(must(directory.log(partition(i), config)));
  for (std::size_t i = 0; i < partitions; ++i) {  // files exist before the clock starts
    const storage::PlacedBatch batch{Offset{0}, LeaderEpoch{0}, bytes};
    must(directory.append(partition(i), std::span{&batch, 1}, MonotonicMs{0}));
  }
  must(directory.commit(MonotonicMs{0}));
  const bench::Stopwatch stopwatch;
  for (std::size_t i = 0; i < batches; ++i) {
    must(record::validate_batch(bytes, {}, record::BatchOrigin::client));
    const auto number = i % partitions;
    const storage::PlacedBatch batch{logs[number]->log_end_offset(), LeaderEpoch{0}, bytes};
    must(directory.append(partition(number), std::span{&batch, 1}, MonotonicMs{0}));
    if ((i + 1) % window == 0) must(directory.commit(MonotonicMs{0}));
  }
  must(directory.commit(MonotonicMs{0}));
  return stopwatch.stop(batches * bench::records_per_batch, batches * bytes.size());
}

bench::Figures read(storage::DataDirectory& directory, const storage::LogConfig& config) {
  const auto view = must(directory.log(partition(0), config))->view();
  const bench::Stopwatch stopwatch;
  Offset offset{0};
  storage::ReadPosition position;
  std::size_t bytes = 0;
  while (offset < view.log_end_offset()) {
    const auto slice = must(view.read(offset, std::size_t{256} << 10, Offset::max(), position));
    bytes += slice.batches.size();
    offset = slice.next_offset;
    position = slice.position;
  }
  return stopwatch.stop(static_cast<std::size_t>(offset.value()), bytes);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 2) return 2;
  storage::PosixFileSystem files;
  auto opened =
      must(storage::DataDirectory::open(files, {.path = arguments[1], .cluster_id = Uuid{{1}}, .node_id = BrokerId{1}}));
  storage::LogConfig config;
  if (arguments.size() == 6 && arguments[0] == "append") {
    config.flush = arguments[5] == "fsync" ? storage::FlushPolicy::fsync : storage::FlushPolicy::interval;
    append(*opened.directory, std::stoul(arguments[2]), std::stoul(arguments[3]), std::stoul(arguments[4]), config).print();
    must(opened.directory->close());
  } else if (arguments[0] == "read") {
    read(*opened.directory, config).print();
  }
  return 0;
}
