#include "core/record/producer_state.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"

namespace troupe::record {
namespace {

using BatchEntry = ProducerStates::BatchEntry;
using Producer = ProducerStates::Producer;

// Part of the format: docs/formats/producer-snapshot.md.
constexpr std::uint32_t snapshot_magic = 0x54525053;  // "TRPS"
constexpr std::int16_t snapshot_version = 1;
constexpr std::size_t crc_at = 4;
constexpr std::size_t crc_start = 8;
constexpr std::size_t header_bytes = 14;
constexpr std::size_t producer_bytes_min = 19;
constexpr std::size_t batch_bytes = 24;

/// Steps from `from` up to `to`, around the end of the numbers.
std::uint32_t steps(SequenceNumber from, SequenceNumber to) {
  return (static_cast<std::uint32_t>(to.value()) - static_cast<std::uint32_t>(from.value())) & 0x7fffffffU;
}

bool is_before(SequenceNumber a, SequenceNumber b) {
  const auto distance = steps(a, b);
  return distance != 0 && distance < (std::uint32_t{1} << 30);
}

/// Whether the batch has a place in its producer's sequence.
bool is_sequenced(const RecordBatchHeader& batch) { return !batch.is_control() && batch.base_sequence.value() >= 0; }

void forget_batches(Producer& producer) {
  producer.batches.fill(BatchEntry{});
  producer.batches_count = 0;
}

void push_batch(Producer& producer, const BatchEntry& entry) {
  auto& batches = producer.batches;
  if (producer.batches_count == batches.size()) {
    std::shift_left(batches.begin(), batches.end(), 1);
    --producer.batches_count;
  }
  batches[producer.batches_count++] = entry;
}

std::string describe(const RecordBatchHeader& batch) {
  return "batch of producer " + to_string(batch.producer_id) + " epoch " + to_string(batch.producer_epoch) + " sequence " +
         to_string(batch.base_sequence) + " to " + to_string(batch.last_sequence());
}

Error refused(Errc code, const RecordBatchHeader& batch, const std::string& why) {
  return Error{code, describe(batch) + ": " + why};
}

Error odd(std::string what) { return Error{Errc::corrupt_message, std::move(what)}; }
Error corrupt(const std::string& what) { return odd("producer snapshot: " + what); }

void write_producer(ByteWriter& writer, ProducerId id, const Producer& producer) {
  writer.integer(id.value());
  writer.integer(producer.epoch.value());
  writer.integer(producer.last_timestamp.value());
  writer.integer(static_cast<std::uint8_t>(producer.batches_count));
  for (std::size_t i = 0; i < producer.batches_count; ++i) {
    const auto& entry = producer.batches[i];
    writer.integer(entry.base_sequence.value());
    writer.integer(entry.base_offset.value());
    writer.integer(static_cast<std::int32_t>(entry.last_offset - entry.base_offset));
    writer.integer(entry.timestamp.value());
  }
}

/// Reads one batch of a producer; `lowest` is the first offset that the batches before it leave free.
Result<BatchEntry> read_batch(ByteReader& reader, Offset lowest) {
  const auto base_sequence = SequenceNumber{*reader.integer<std::int32_t>()};
  const auto base_offset = Offset{*reader.integer<std::int64_t>()};
  const auto last_offset_delta = *reader.integer<std::int32_t>();
  const auto timestamp = TimestampMs{*reader.integer<std::int64_t>()};
  if (base_sequence.value() < 0) return odd("base sequence " + to_string(base_sequence) + ", wanted 0 or more");
  if (base_offset < lowest)
    return odd("base offset " + to_string(base_offset) + ", wanted " + to_string(lowest) + " or more");
  // The next offset has to be a number, too.
  if (last_offset_delta < 0 || last_offset_delta >= Offset::max() - base_offset)
    return odd("last offset delta " + std::to_string(last_offset_delta) + " at offset " + to_string(base_offset));
  return BatchEntry{.base_sequence = base_sequence,
                    .last_sequence = base_sequence.plus(last_offset_delta),
                    .base_offset = base_offset,
                    .last_offset = base_offset + last_offset_delta,
                    .timestamp = timestamp};
}

/// Reads what follows a producer's id.
Result<Producer> read_producer(ByteReader& reader) {
  Producer producer;
  producer.epoch = ProducerEpoch{*reader.integer<std::int16_t>()};
  producer.last_timestamp = TimestampMs{*reader.integer<std::int64_t>()};
  const std::size_t batches_count = *reader.integer<std::uint8_t>();
  if (producer.epoch < ProducerEpoch{0}) return odd("epoch " + to_string(producer.epoch) + ", wanted 0 or more");
  if (batches_count > ProducerStates::batches_kept)
    return odd(std::to_string(batches_count) + " batches, wanted at most " + std::to_string(ProducerStates::batches_kept));
  if (reader.remaining() < batches_count * batch_bytes)
    return odd(std::to_string(reader.remaining()) + " bytes left for " + std::to_string(batches_count) + " batches");
  Offset lowest{0};
  for (std::size_t i = 0; i < batches_count; ++i) {
    TROUPE_TRY_ASSIGN(const auto entry, read_batch(reader, lowest));
    push_batch(producer, entry);
    lowest = entry.last_offset + 1;
  }
  return producer;
}

}  // namespace

Result<std::optional<ProducerStates::Duplicate>> ProducerStates::check(const RecordBatchHeader& batch) const {
  const std::optional<Duplicate> is_new;
  if (!batch.has_producer()) return is_new;
  if (batch.producer_epoch < ProducerEpoch{0}) return refused(Errc::invalid_producer_epoch, batch, "no producer epoch");
  const auto* known = find(batch.producer_id);
  if (known != nullptr && batch.producer_epoch < known->epoch)
    return refused(Errc::invalid_producer_epoch, batch, "fenced by epoch " + to_string(known->epoch));
  if (batch.is_control()) return is_new;
  if (!is_sequenced(batch)) return refused(Errc::out_of_order_sequence_number, batch, "no sequence number");
  if (known == nullptr) return is_new;

  if (batch.producer_epoch > known->epoch || known->batches_count == 0) {
    if (batch.base_sequence == SequenceNumber{0}) return is_new;
    return refused(Errc::out_of_order_sequence_number, batch, "a new epoch starts at sequence 0");
  }
  const auto kept = std::span{known->batches}.first(known->batches_count);
  for (const auto& entry : kept) {
    if (entry.base_sequence == batch.base_sequence && entry.last_sequence == batch.last_sequence())
      return std::optional{Duplicate{entry.base_offset, entry.last_offset, entry.timestamp}};
  }
  const auto next = kept.back().last_sequence.plus(1);
  if (batch.base_sequence == next) return is_new;
  const auto oldest = kept.front().base_sequence;
  if (kept.size() == batches_kept && is_before(batch.last_sequence(), oldest))
    return refused(Errc::duplicate_sequence_number, batch, "before " + to_string(oldest) + ", the oldest sequence kept");
  return refused(Errc::out_of_order_sequence_number, batch, "wanted sequence " + to_string(next));
}

void ProducerStates::apply(const RecordBatchHeader& batch) {
  if (batch.producer_id < ProducerId{0} || batch.producer_epoch < ProducerEpoch{0}) return;
  auto& producer = producers_[batch.producer_id];
  producer.last_timestamp = batch.max_timestamp;
  if (batch.producer_epoch < producer.epoch) return;
  if (batch.producer_epoch > producer.epoch) {
    producer.epoch = batch.producer_epoch;
    forget_batches(producer);
  }
  if (!is_sequenced(batch)) return;
  TROUPE_ASSERT(batch.base_offset >= Offset{0} && batch.last_offset_delta >= 0);
  TROUPE_ASSERT(producer.batches_count == 0 || batch.base_offset > producer.batches[producer.batches_count - 1].last_offset);
  push_batch(producer, {.base_sequence = batch.base_sequence,
                        .last_sequence = batch.last_sequence(),
                        .base_offset = batch.base_offset,
                        .last_offset = batch.last_offset(),
                        .timestamp = batch.max_timestamp});
}

void ProducerStates::expire_before(TimestampMs timestamp) {
  std::erase_if(producers_, [timestamp](const auto& item) { return item.second.last_timestamp < timestamp; });
}

const ProducerStates::Producer* ProducerStates::find(ProducerId id) const {
  const auto found = producers_.find(id);
  return found == producers_.end() ? nullptr : &found->second;
}

std::vector<ProducerId> ProducerStates::ids() const {
  std::vector<ProducerId> ids;
  ids.reserve(producers_.size());
  for (const auto& [id, producer] : producers_) ids.push_back(id);
  std::ranges::sort(ids);
  return ids;
}

ByteBuffer ProducerStates::encode() const {
  TROUPE_ASSERT(producers_.size() <= std::numeric_limits<std::uint32_t>::max());
  std::vector<std::pair<ProducerId, const Producer*>> ordered;
  ordered.reserve(producers_.size());
  std::size_t bytes = header_bytes;
  for (const auto& [id, producer] : producers_) {
    ordered.emplace_back(id, &producer);
    bytes += producer_bytes_min + producer.batches_count * batch_bytes;
  }
  std::ranges::sort(ordered, {}, [](const auto& item) { return item.first; });

  ByteBuffer buffer;
  buffer.reserve(bytes);
  ByteWriter writer(buffer);
  writer.integer(snapshot_magic);
  writer.integer(std::uint32_t{0});  // the checksum's place
  writer.integer(snapshot_version);
  writer.integer(static_cast<std::uint32_t>(ordered.size()));
  for (const auto& [id, producer] : ordered) write_producer(writer, id, *producer);
  store_big_endian(buffer.data() + crc_at, crc32c(ByteView{buffer}.subspan(crc_start)));
  return buffer;
}

Result<ProducerStates> ProducerStates::decode(ByteView bytes) {
  if (bytes.size() < header_bytes)
    return corrupt(std::to_string(bytes.size()) + " bytes, wanted at least " + std::to_string(header_bytes));
  ByteReader reader(bytes);
  const auto magic = *reader.integer<std::uint32_t>();
  if (magic != snapshot_magic) return corrupt("magic " + to_hex(bytes.first(crc_at)) + ", wanted 54525053");
  const auto crc = *reader.integer<std::uint32_t>();
  if (const auto actual = crc32c(bytes.subspan(crc_start)); crc != actual)
    return corrupt("crc " + std::to_string(crc) + " != " + std::to_string(actual) + " of its bytes");
  const auto version = *reader.integer<std::int16_t>();
  if (version != snapshot_version)
    return corrupt("version " + std::to_string(version) + ", wanted " + std::to_string(snapshot_version));
  const auto count = *reader.integer<std::uint32_t>();
  if (count > reader.remaining() / producer_bytes_min)
    return corrupt(std::to_string(count) + " producers in " + std::to_string(reader.remaining()) + " bytes");

  ProducerStates states;
  states.producers_.reserve(count);
  auto previous = no_producer_id;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto where = "producer " + std::to_string(i) + " of " + std::to_string(count);
    if (reader.remaining() < producer_bytes_min)
      return corrupt(where + ": " + std::to_string(reader.remaining()) + " bytes left");
    const auto id = ProducerId{*reader.integer<std::int64_t>()};
    if (id <= previous) return corrupt(where + ": id " + to_string(id) + " after " + to_string(previous));
    auto producer = read_producer(reader);
    if (!producer) return corrupt(where + ": " + producer.error().message);
    states.producers_.emplace(id, *producer);
    previous = id;
  }
  if (reader.remaining() != 0) return corrupt(std::to_string(reader.remaining()) + " bytes after the last producer");
  return states;
}

}  // namespace troupe::record
