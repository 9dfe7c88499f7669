#include <string>

#include <benchmark/benchmark.h>

#include "base/crc32c.hpp"
#include "base/prng.hpp"
#include "core/record/batch_builder.hpp"
#include "core/record/batch_validator.hpp"

/// What a record batch costs: to build, to step over, to check, to compress and to inflate.

namespace {

using namespace troupe;
using namespace troupe::record;

constexpr std::size_t block_bytes = std::size_t{1} << 20;
constexpr std::size_t value_bytes = 100;

/// JSON-like text: shrinks to about a quarter, as records do.
std::string text(std::size_t size, std::uint64_t seed) {
  Prng prng(seed);
  std::string text;
  while (text.size() < size) {
    text += "{\"user\":" + std::to_string(prng.below(100'000)) + ",\"page\":\"/item/" + std::to_string(prng.below(500)) +
            "\",\"ms\":" + std::to_string(prng.below(3000)) + "}";
  }
  text.resize(size);
  return text;
}

/// 16 KiB of records of 100 bytes.
ByteBuffer batch_16k(CompressionCodec codec) {
  RecordBatchBuilder builder({.codec = codec});
  for (std::uint64_t i = 0; builder.size_bytes() < 16 * 1024; ++i) {
    const auto value = text(value_bytes, i);
    builder.add({.timestamp = TimestampMs{1'700'000'000'000} + static_cast<std::int64_t>(i), .value = as_bytes(value)});
  }
  return builder.build().value();
}

CompressionCodec codec_of(const benchmark::State& state) { return static_cast<CompressionCodec>(state.range(0)); }

void count_bytes(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
}

void label(benchmark::State& state) { state.SetLabel(std::string(to_string(codec_of(state)))); }

void bench_compress(benchmark::State& state) {
  const auto plain = text(block_bytes, 1);
  std::size_t packed_bytes = 0;
  for (auto _ : state) {
    const auto packed = compress(codec_of(state), as_bytes(plain));
    packed_bytes = packed->size();
    benchmark::DoNotOptimize(packed->data());
  }
  label(state);
  count_bytes(state, plain.size());
  state.counters["ratio"] = static_cast<double>(plain.size()) / static_cast<double>(packed_bytes);
}

void bench_decompress(benchmark::State& state) {
  const auto plain = text(block_bytes, 1);
  const auto packed = compress(codec_of(state), as_bytes(plain)).value();
  for (auto _ : state) {
    const auto back = decompress(codec_of(state), packed, {});
    benchmark::DoNotOptimize(back->data());
  }
  label(state);
  count_bytes(state, plain.size());
}

void bench_build(benchmark::State& state) {
  const auto value = text(value_bytes, 1);
  RecordBatchBuilder builder;
  std::size_t bytes = 0;
  std::int64_t records = 0;
  for (auto _ : state) {
    while (builder.size_bytes() < 16 * 1024)
      builder.add({.timestamp = TimestampMs{1'700'000'000'000}, .value = as_bytes(value)});
    records += builder.records_count();
    const auto batch = builder.build();
    bytes = batch->size();
    benchmark::DoNotOptimize(batch->data());
  }
  count_bytes(state, bytes);
  state.SetItemsProcessed(records);
}

void bench_parse_header(benchmark::State& state) {
  const auto batch = batch_16k(CompressionCodec::none);
  for (auto _ : state) {
    auto header = parse_batch_header(batch);
    benchmark::DoNotOptimize(header);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

void bench_validate(benchmark::State& state) {
  const auto batch = batch_16k(codec_of(state));
  const auto records = parse_batch_header(batch)->records_count;
  for (auto _ : state) {
    auto validated = validate_batch(batch, {}, BatchOrigin::client);
    benchmark::DoNotOptimize(validated);
  }
  label(state);
  count_bytes(state, 16 * 1024);  // of records, whatever they were compressed to
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * records);
}

void bench_crc32c(benchmark::State& state) {
  const auto plain = text(static_cast<std::size_t>(state.range(0)), 1);
  for (auto _ : state) benchmark::DoNotOptimize(crc32c(as_bytes(plain)));
  count_bytes(state, plain.size());
}

BENCHMARK(bench_compress)->DenseRange(0, 4);
BENCHMARK(bench_decompress)->DenseRange(0, 4);
BENCHMARK(bench_build);
BENCHMARK(bench_parse_header);
BENCHMARK(bench_validate)->DenseRange(0, 4);
BENCHMARK(bench_crc32c)->Arg(64)->Arg(1024)->Arg(16 * 1024)->Arg(1 << 20);

}  // namespace

BENCHMARK_MAIN();
