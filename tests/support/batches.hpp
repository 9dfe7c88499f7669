#pragma once

#include <string>
#include <vector>

#include "core/record/batch_builder.hpp"
#include "storage/commit_log.hpp"
#include "storage/log_view.hpp"

/// Batches for tests of logs: made in one line, read back as text.
namespace troupe::test {

struct BatchSpec {
  int records = 1;
  std::string value = "value";  ///< of record i: value + "-" + offset
  std::vector<std::string> keys =
      {};  ///< one a record; a key that begins with '-' is a tombstone of what follows. Empty: no keys
  LeaderEpoch epoch{0};
  TimestampMs timestamp{1'700'000'000'000};
  ProducerId producer_id = no_producer_id;
  ProducerEpoch producer_epoch = no_producer_epoch;
  SequenceNumber base_sequence = no_sequence_number;
  record::CompressionCodec codec = record::CompressionCodec::none;
};

/// A batch for the place `base_offset`. Its own base offset stays 0, as a client sends it.
storage::PlacedBatch make_batch(Offset base_offset, const BatchSpec& spec = {});

/// "offset:value" of every record of the batches in `bytes`, in order. Fails the running test on anything malformed.
std::vector<std::string> read_all(ByteView bytes);

/// All records of a log from `from` to its end, read in slices of `bytes_max`.
std::vector<std::string> read_log(const storage::LogView& view, Offset from, std::size_t bytes_max = 1 << 20);

/// "offset:value-offset" for all offsets of [from, to), as make_batch writes them.
std::vector<std::string> expected_records(Offset from, Offset to, const std::string& value = "value");

}  // namespace troupe::test
