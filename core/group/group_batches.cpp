#include "core/group/group_batches.hpp"

#include "base/byte_codec.hpp"
#include "core/record/batch_builder.hpp"

namespace troupe::group {
namespace {

/// Beside the types of group_record.cpp. Part of the format: never renumber.
constexpr std::int16_t load_mark_type = 1'004;

}  // namespace

Result<ByteBuffer> encode_batch(std::span<const Record> records, TimestampMs wall) {
  record::RecordBatchBuilder builder;
  for (const auto& record : records) {
    const auto encoded = encode(record);
    builder.add({.timestamp = wall,
                 .key = ByteView{encoded.key},
                 .value = encoded.value ? std::optional{ByteView{*encoded.value}} : std::nullopt});
  }
  return builder.build();
}

ByteBuffer encode_load_mark(TimestampMs wall) {
  ByteBuffer key;
  ByteWriter{key}.integer(load_mark_type);
  record::RecordBatchBuilder builder;
  builder.add({.timestamp = wall, .key = ByteView{key}});
  return builder.build().value();
}

Status replay_batches(ByteView batches, Offset from, Offset up_to, const std::function<void(const Record&)>& visit) {
  while (!batches.empty()) {
    TROUPE_TRY_ASSIGN(const auto batch, record::parse_batch(batches));
    batches = batches.subspan(batch.bytes.size());
    if (batch.header.is_control() || batch.header.next_offset() <= from) continue;
    TROUPE_TRY_ASSIGN(const auto block, record::open_records(batch, {}));
    record::RecordReader reader(batch.header, block.bytes);
    while (const auto record = reader.next()) {
      if (record->offset < from || record->offset >= up_to || !record->key) continue;
      auto decoded = decode(*record->key, record->value);
      if (!decoded) return decoded.error().with_context("offset " + to_string(record->offset));
      if (*decoded) visit(**decoded);
    }
    TROUPE_TRY(reader.finish());
  }
  return {};
}

}  // namespace troupe::group
