#include <algorithm>
#include <cstdio>

#include "base/byte_codec.hpp"
#include "runtime/cli/dump_log.hpp"
#include "runtime/cli/segment_walk.hpp"
#include "storage/paths.hpp"
#include "storage/segment.hpp"

namespace troupe::cli {
namespace {

/// Larger than any limit that a log was written under, and small enough for one batch at a time.
constexpr record::InflateLimits inflate_limits{
    .bytes_max = std::size_t{128} << 20, .ratio_max = std::size_t{1} << 20, .ratio_free_bytes = std::size_t{1} << 20};

std::string offsets_text(const record::RecordBatchHeader& header) {
  return to_string(header.base_offset) + "-" + to_string(header.last_offset());
}

std::string codec_text(const record::RecordBatchHeader& header) {
  constexpr unsigned codecs = 5;
  return header.codec_bits() < codecs ? std::string(record::to_string(header.codec()))
                                      : "codec" + std::to_string(header.codec_bits());
}

std::string producer_text(const record::RecordBatchHeader& header) {
  std::string text;
  const auto add = [&text](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (header.has_producer()) {
    add("producer " + to_string(header.producer_id) + " epoch " + to_string(header.producer_epoch));
    if (header.base_sequence != no_sequence_number)
      add("sequence " + to_string(header.base_sequence) + "-" + to_string(header.last_sequence()));
  }
  if (header.is_transactional()) add("transactional");
  if (header.is_control()) add("control");
  if (header.has_delete_horizon()) add("delete horizon");
  if (header.timestamp_type() == record::TimestampType::log_append_time) add("log append time");
  return text.empty() ? "-" : text;
}

std::string hex_crc(std::uint32_t crc) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", crc);
  return text;
}

void print_batch_text(Output& out, std::uint64_t position, const record::RecordBatchHeader& header) {
  char line[256];
  std::snprintf(line, sizeof line, "%20s  %10llu  %8zu  %5d  %6s  %7d  %-24s  %-24s  %8s ok  %s",
                offsets_text(header).c_str(), static_cast<unsigned long long>(position), header.size_bytes(),
                header.leader_epoch.value(), codec_text(header).c_str(), header.records_count,
                shown(header.base_timestamp).c_str(), shown(header.max_timestamp).c_str(), hex_crc(header.crc).c_str(),
                producer_text(header).c_str());
  out.line(line);
}

void print_batch_json(Output& out, const std::string& path, std::uint64_t position,
                      const record::RecordBatchHeader& header) {
  const bool appended = header.timestamp_type() == record::TimestampType::log_append_time;
  out.print(Json{{"type", "batch"},
                 {"file", path},
                 {"position", position},
                 {"base_offset", header.base_offset.value()},
                 {"last_offset", header.last_offset().value()},
                 {"bytes", header.size_bytes()},
                 {"leader_epoch", header.leader_epoch.value()},
                 {"codec", codec_text(header)},
                 {"records", header.records_count},
                 {"base_timestamp_ms", header.base_timestamp.value()},
                 {"max_timestamp_ms", header.max_timestamp.value()},
                 {"timestamp_type", appended ? "log_append_time" : "create_time"},
                 {"transactional", header.is_transactional()},
                 {"control", header.is_control()},
                 {"producer_id", header.producer_id.value()},
                 {"producer_epoch", header.producer_epoch.value()},
                 {"base_sequence", header.base_sequence.value()},
                 {"crc", hex_crc(header.crc)},
                 {"crc_ok", true}});
}

/// "commit" or "abort" for a transaction marker's key.
std::string marker_of(const record::RecordView& record) {
  if (!record.key || record.key->size() < 4) return {};
  const auto type = load_big_endian<std::int16_t>(record.key->data() + 2);
  return type == 0 ? "abort" : type == 1 ? "commit" : "";
}

void print_record(Output& out, const std::string& path, const record::RecordView& record,
                  const std::vector<record::RecordHeader>& headers, bool control) {
  const auto marker = control ? marker_of(record) : std::string{};
  if (!out.json()) {
    auto line = "    " + to_string(record.offset) + "  " + shown(record.timestamp) + "  key " + shown(record.key) +
                "  value " + shown(record.value);
    for (const auto& header : headers) line += "  header " + shown(header.key) + "=" + shown(header.value);
    if (!marker.empty()) line += "  (" + marker + " marker)";
    out.line(line);
    return;
  }
  Json object{
      {"type", "record"}, {"file", path}, {"offset", record.offset.value()}, {"timestamp_ms", record.timestamp.value()}};
  add_bytes(object, "key", record.key);
  add_bytes(object, "value", record.value);
  object["headers"] = Json::array();
  for (const auto& header : headers) {
    Json one;
    add_bytes(one, "key", header.key);
    add_bytes(one, "value", header.value);
    object["headers"].push_back(std::move(one));
  }
  if (!marker.empty()) object["marker"] = marker;
  out.print(object);
}

Status print_records(Dump& dump, const std::string& path, const record::RecordBatchView& batch) {
  TROUPE_TRY_ASSIGN(const auto block, record::open_records(batch, inflate_limits));
  record::RecordReader reader{batch.header, block.bytes};
  while (const auto record = reader.next()) {
    if (!dump.wanted(record->offset, record->offset)) continue;
    TROUPE_TRY_ASSIGN(const auto headers, record::decode_headers(*record));
    print_record(dump.out, path, *record, headers, batch.header.is_control());
  }
  return reader.finish();
}

}  // namespace

void dump_batch_columns(Dump& dump) {
  if (dump.out.json()) return;
  char line[256];
  std::snprintf(line, sizeof line, "%20s  %10s  %8s  %5s  %6s  %7s  %-24s  %-24s  %-11s  %s", "OFFSETS", "POSITION", "BYTES",
                "EPOCH", "CODEC", "RECORDS", "FIRST TIMESTAMP", "MAX TIMESTAMP", "CRC", "PRODUCER");
  dump.out.line(line);
}

void dump_batch(Dump& dump, const std::string& path, std::uint64_t position, const record::RecordBatchView& batch) {
  const auto& header = batch.header;
  if (dump.out.closed() || !dump.wanted(header.base_offset, header.last_offset())) return;
  if (dump.out.json()) {
    print_batch_json(dump.out, path, position, header);
  } else {
    print_batch_text(dump.out, position, header);
  }
  if (!dump.options.records) return;
  if (const auto printed = print_records(dump, path, batch); !printed) {
    dump.damaged(path,
                 "position " + std::to_string(position) + ", offset " + to_string(header.base_offset) +
                     ": the checksum is right, the records cannot be read: " + printed.error().message,
                 {{"position", position}, {"offset", header.base_offset.value()}});
  }
}

Status dump_segment(Dump& dump, const std::string& path) {
  TROUPE_TRY_ASSIGN(const auto file, dump.files.open(path, storage::OpenMode::read));
  TROUPE_TRY_ASSIGN(const auto size, file->size());
  auto name = std::string(storage::file_name(path));
  constexpr std::size_t name_bytes = 24;  // 20 digits and ".log"; a removed segment has more behind it
  if (name.ends_with(storage::deleted_extension)) name.resize(std::min(name.size(), name_bytes));
  const auto base_offset = storage::parse_segment_file_name(name, storage::log_extension);
  dump.title("segment", path, std::to_string(size) + " bytes");
  dump_batch_columns(dump);
  const auto on_batch = [&](const record::RecordBatchView& batch, std::uint64_t position) {
    dump_batch(dump, path, position, batch);
  };
  const auto on_damage = [&](const DamagedPlace& place) {
    auto text = "position " + std::to_string(place.position) + ", offset " + to_string(place.expected) + ": " + place.reason;
    Json fields{{"position", place.position}, {"offset", place.expected.value()}};
    if (place.claims && place.resumes_at != place.position)
      text += " (its header says: offsets " + offsets_text(*place.claims) + ", " +
              std::to_string(place.claims->size_bytes()) + " bytes)";
    if (place.resumes_at) {
      text += "; goes on with the batch at position " + std::to_string(*place.resumes_at);
      fields["resumes_at"] = *place.resumes_at;
    } else {
      text += "; no intact batch in the " + std::to_string(size - place.position) + " bytes to the end";
    }
    dump.damaged(path, text, std::move(fields));
  };
  TROUPE_TRY(walk_segment(*file, size, {base_offset, no_leader_epoch}, on_batch, on_damage));
  return ok();
}

}  // namespace troupe::cli
