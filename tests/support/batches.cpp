#include "tests/support/batches.hpp"

#include "tests/support/catch.hpp"

namespace troupe::test {

storage::PlacedBatch make_batch(Offset base_offset, const BatchSpec& spec) {
  record::RecordBatchBuilder builder{{.codec = spec.codec,
                                      .producer_id = spec.producer_id,
                                      .producer_epoch = spec.producer_epoch,
                                      .base_sequence = spec.base_sequence}};
  for (int i = 0; i < spec.records; ++i) {
    const auto value = spec.value + "-" + to_string(base_offset + i);
    record::NewRecord record{.timestamp = spec.timestamp + i, .value = as_bytes(value)};
    if (!spec.keys.empty()) {
      std::string_view key = spec.keys.at(static_cast<std::size_t>(i));
      if (key.starts_with('-')) {
        key.remove_prefix(1);
        record.value.reset();
      }
      record.key = as_bytes(key);
    }
    builder.add(record);
  }
  return {base_offset, spec.epoch, Bytes::adopt(*builder.build())};
}

std::vector<std::string> read_all(ByteView bytes) {
  std::vector<std::string> records;
  while (!bytes.empty()) {
    const auto batch = record::parse_batch(bytes);
    REQUIRE(batch);
    REQUIRE(record::crc_matches(*batch));
    const auto block = record::open_records(*batch, {});
    REQUIRE(block);
    record::RecordReader reader{batch->header, block->bytes};
    while (const auto record = reader.next()) {
      records.push_back(to_string(record->offset) + ":" + (record->value ? std::string(as_text(*record->value)) : "null"));
    }
    REQUIRE(reader.finish());
    bytes = bytes.subspan(batch->bytes.size());
  }
  return records;
}

std::vector<std::string> read_log(const storage::LogView& view, Offset from, std::size_t bytes_max) {
  std::vector<std::string> records;
  storage::ReadPosition position;
  while (from < view.log_end_offset()) {
    const auto slice = view.read(from, bytes_max, Offset::max(), position);
    if (!slice) FAIL(to_string(slice.error()));
    REQUIRE(slice->next_offset > from);
    for (auto& record : read_all(slice->batches)) {
      if (std::stoll(record) >= from.value()) records.push_back(std::move(record));
    }
    from = slice->next_offset;
    position = slice->position;
  }
  return records;
}

std::vector<std::string> expected_records(Offset from, Offset to, const std::string& value) {
  std::vector<std::string> records;
  for (auto offset = from; offset < to; ++offset)
    records.push_back(to_string(offset) + ":" + value + "-" + to_string(offset));
  return records;
}

}  // namespace troupe::test
