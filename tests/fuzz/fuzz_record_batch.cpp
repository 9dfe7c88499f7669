#include <cstdint>
#include <vector>

#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "core/record/batch_builder.hpp"
#include "core/record/batch_validator.hpp"

/// Bytes as a batch: whatever the validator accepts can be read to the end, stays within the limits, and comes out the same
/// when its records are built into a batch again.

using namespace troupe;
using namespace troupe::record;

namespace {

constexpr BatchLimits limits{.inflate = {.bytes_max = std::size_t{1} << 20, .ratio_free_bytes = std::size_t{1} << 16}};

bool same(const std::optional<ByteView>& a, const std::optional<ByteView>& b) {
  return a.has_value() == b.has_value() && (!a || equal_bytes(*a, *b));
}

void check_rebuilt(const RecordBatchView& batch, ByteView block) {
  RecordBatchBuilder builder({.timestamp_type = batch.header.timestamp_type(), .base_offset = batch.header.base_offset});
  std::vector<RecordView> records;
  RecordReader reader(batch.header, block);
  while (const auto record = reader.next()) {
    const auto headers = decode_headers(*record);
    TROUPE_ASSERT(headers.has_value() && headers->size() == static_cast<std::size_t>(record->headers_count));
    builder.add_at(record->offset,
                   {.timestamp = record->timestamp, .key = record->key, .value = record->value, .headers = *headers});
    records.push_back(*record);
  }
  TROUPE_ASSERT(reader.finish().has_value());
  TROUPE_ASSERT(records.size() == static_cast<std::size_t>(batch.header.records_count));
  if (records.empty()) return;

  const auto bytes = builder.build().value();
  const auto rebuilt = validate_batch(bytes, {.batch_bytes_max = bytes.size(), .inflate = {}}, BatchOrigin::replica).value();
  TROUPE_ASSERT(rebuilt.header.max_timestamp <= batch.header.max_timestamp);  // below: of records that compaction took
  RecordReader again(rebuilt.header, rebuilt.records_block());
  for (const auto& record : records) {
    const auto copy = again.next();
    TROUPE_ASSERT(copy && copy->offset == record.offset && copy->timestamp == record.timestamp &&
                  same(copy->key, record.key) && same(copy->value, record.value) &&
                  copy->headers_count == record.headers_count);
    const auto headers = decode_headers(record).value();
    const auto copied = decode_headers(*copy).value();
    for (std::size_t i = 0; i < headers.size(); ++i) {
      TROUPE_ASSERT(equal_bytes(headers[i].key, copied[i].key) && same(headers[i].value, copied[i].value));
    }
  }
  TROUPE_ASSERT(again.finish().has_value());
}

void check(ByteView bytes) {
  const auto batch = validate_batch(bytes, limits, BatchOrigin::replica);
  const auto from_client = validate_batch(bytes, limits, BatchOrigin::client);
  if (!batch) {
    TROUPE_ASSERT(!from_client);  // clients may do nothing that replicas may not
    return;
  }
  const auto records = open_records(*batch, limits.inflate).value();
  TROUPE_ASSERT(batch->header.codec() == CompressionCodec::none || records.bytes.size() <= limits.inflate.bytes_max);
  check_rebuilt(*batch, records.bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span{data, size});
  check(bytes);
  if (size < batch_header_bytes) return 0;
  // A checksum keeps a fuzzer out for good: let it in.
  ByteBuffer sealed(bytes.begin(), bytes.end());
  constexpr std::size_t batch_length_at = 8, magic_at = 16, crc_at = 17;
  store_big_endian(sealed.data() + batch_length_at, static_cast<std::int32_t>(size - batch_length_overhead));
  sealed[magic_at] = std::byte{2};
  store_big_endian(sealed.data() + crc_at, crc32c(ByteView{sealed}.subspan(batch_crc_start)));
  check(sealed);
  return 0;
}
