#pragma once

#include <cstdio>
#include <ctime>
#include <string>

#include "core/record/batch_builder.hpp"

/// What the benchmarks of the log share: their batch, and wall and processor time per record.
namespace troupe::bench {

inline constexpr std::size_t record_value_bytes = 100;
inline constexpr std::size_t batch_bytes_min = 16 * 1024;

/// Records of 100 bytes until the batch has 16 KiB.
inline ByteBuffer make_batch() {
  record::RecordBatchBuilder builder;
  std::string value(record_value_bytes, 'v');
  for (std::int64_t i = 0; builder.size_bytes() < batch_bytes_min; ++i) {
    value.replace(0, 8, std::to_string(10'000'000 + i));
    builder.add({.timestamp = TimestampMs{1'700'000'000'000} + i, .value = as_bytes(value)});
  }
  return builder.build().value();
}

inline const std::size_t records_per_batch =
    static_cast<std::size_t>(record::parse_batch_header(make_batch())->records_count);

struct Figures {
  std::size_t records;
  std::size_t bytes;
  double wall_seconds;
  double cpu_seconds;  ///< of the whole process, user and system

  void print() const {
    std::printf("{\"records\":%zu,\"bytes\":%zu,\"wall_s\":%.6f,\"cpu_s\":%.6f}\n", records, bytes, wall_seconds,
                cpu_seconds);
  }
};

class Stopwatch {
 public:
  Stopwatch() : wall_(now(CLOCK_MONOTONIC)), cpu_(now(CLOCK_PROCESS_CPUTIME_ID)) {}

  Figures stop(std::size_t records, std::size_t bytes) const {
    return {records, bytes, now(CLOCK_MONOTONIC) - wall_, now(CLOCK_PROCESS_CPUTIME_ID) - cpu_};
  }

 private:
  static double now(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }

  double wall_;
  double cpu_;
};

}  // namespace troupe::bench
