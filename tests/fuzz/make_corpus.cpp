#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/prng.hpp"
#include "core/record/batch_builder.hpp"
#include "tests/fuzz/make_corpus.hpp"

/// Writes the seeds of all targets: `fuzz_make_corpus tests/fuzz/corpus`. The same files every time, for the same
/// versions of the codecs' libraries.

using namespace troupe;
using namespace troupe::record;

namespace fs = std::filesystem;

bool troupe::fuzz::write_seed(const fs::path& folder, const std::string& name, ByteView bytes) {
  std::error_code error;
  fs::create_directories(folder, error);
  std::ofstream file(folder / name, std::ios::binary);
  file.write(as_text(bytes).data(), static_cast<std::streamsize>(bytes.size()));
  return file.good();
}

namespace {

constexpr auto write = troupe::fuzz::write_seed;

constexpr CompressionCodec all_codecs[] = {CompressionCodec::none, CompressionCodec::gzip, CompressionCodec::snappy,
                                           CompressionCodec::lz4, CompressionCodec::zstd};
constexpr TimestampMs t0{1'700'000'000'000};

/// Text that shrinks a little, as records do.
std::string words(std::size_t size) {
  Prng prng(size);
  std::string text;
  while (text.size() < size)
    text += "\"field" + std::to_string(prng.below(20)) + "\":" + std::to_string(prng.below(1000)) + ",";
  text.resize(size);
  return text;
}

ByteBuffer batch(const BatchBuilderOptions& options, int records, std::size_t value_bytes, std::int64_t offset_step) {
  RecordBatchBuilder builder(options);
  const auto value = words(value_bytes);
  const RecordHeader headers[] = {{as_bytes("trace"), as_bytes("01")}, {as_bytes(""), std::nullopt}};
  for (int i = 0; i < records; ++i) {
    NewRecord record{.timestamp = t0 + i};
    if (i % 2 == 0) record.key = as_bytes("key");
    if (i % 3 != 2) record.value = as_bytes(value);
    if (i % 4 == 1) record.headers = headers;
    builder.add_at(options.base_offset + i * offset_step, record);
  }
  return builder.build().value();
}

bool write_batches(const fs::path& folder) {
  bool written = true;
  for (const auto codec : all_codecs) {
    const std::string name(to_string(codec));
    written &= write(folder, name + "-1", batch({.codec = codec}, 1, 10, 1));
    written &= write(folder, name + "-20", batch({.codec = codec, .base_offset = Offset{1000}}, 20, 60, 1));
    written &= write(folder, name + "-holes", batch({.codec = codec, .base_offset = Offset{7}}, 5, 5, 1000));
  }
  const BatchBuilderOptions transactional{.producer_id = ProducerId{9},
                                          .producer_epoch = ProducerEpoch{1},
                                          .base_sequence = SequenceNumber{3},
                                          .transactional = true};
  written &= write(folder, "transactional", batch(transactional, 3, 5, 1));
  written &= write(folder, "log-append-time", batch({.timestamp_type = TimestampType::log_append_time}, 3, 5, 1));
  written &= write(folder, "commit",
                   build_transaction_marker(ControlRecordType::commit, Offset{7}, LeaderEpoch{2}, ProducerId{4000},
                                            ProducerEpoch{5}, 3, t0));
  return written;
}

bool write_blocks(const fs::path& corpus, CompressionCodec codec) {
  const auto folder = corpus / ("fuzz_" + std::string(to_string(codec)));
  bool written = true;
  for (const std::size_t size : {0, 1, 100, 3000}) {
    written &= write(folder, "words-" + std::to_string(size), compress(codec, as_bytes(words(size))).value());
  }
  written &= write(folder, "zeros-100000", compress(codec, as_bytes(std::string(100'000, '\0'))).value());
  auto twice = compress(codec, as_bytes("twice")).value();
  const auto once = twice;
  append_bytes(twice, once);
  written &= write(folder, "twice", twice);
  return written;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_make_corpus FOLDER\n");
    return 2;
  }
  const fs::path corpus = argv[1];
  bool written = write_batches(corpus / "fuzz_record_batch");
  for (const auto codec : all_codecs) {
    if (codec != CompressionCodec::none) written &= write_blocks(corpus, codec);
  }
  written &= fuzz::write_storage_seeds(corpus);
  written &= fuzz::write_group_seeds(corpus);
  written &= fuzz::write_link_seeds(corpus);
  written &= fuzz::write_metadata_seeds(corpus);
  if (!written) std::fprintf(stderr, "%s: cannot be written\n", argv[1]);
  return written ? 0 : 1;
}
