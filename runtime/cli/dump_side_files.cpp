#include <cstring>

#include "base/byte_codec.hpp"
#include "runtime/cli/dump_log.hpp"
#include "runtime/cli/log_paths.hpp"
#include "storage/checkpoints.hpp"
#include "storage/commit_log_format.hpp"
#include "storage/log_state.hpp"
#include "storage/manifest.hpp"
#include "storage/paths.hpp"
#include "storage/segment.hpp"

/// The files beside the segments.
namespace troupe::cli {
namespace {

constexpr std::uint64_t small_file_bytes_max = std::uint64_t{64} << 20;
constexpr std::uint64_t commit_file_bytes_max = std::uint64_t{2} << 30;

std::string plural(std::size_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

void print_index(Dump& dump, const std::string& path, const storage::SegmentIndex& index) {
  if (dump.out.json()) {
    dump.out.print(Json{{"type", "index"},
                        {"file", path},
                        {"next_offset", index.next_offset().value()},
                        {"end_position", index.end_position()},
                        {"max_timestamp_ms", index.max_timestamp().value()},
                        {"interval_bytes", index.interval_bytes()},
                        {"entries", index.size()}});
  } else {
    dump.title("index", path,
               plural(index.size(), "entry", "entries") + " about every " + std::to_string(index.interval_bytes()) +
                   " bytes; covers the segment up to offset " + to_string(index.next_offset()) + ", position " +
                   std::to_string(index.end_position()) + ", max timestamp " + shown(index.max_timestamp()));
  }
  for (const auto& entry : index.entries()) {
    if (!dump.wanted(entry.offset, entry.offset)) continue;
    if (dump.out.json()) {
      dump.out.print(Json{{"type", "index_entry"},
                          {"file", path},
                          {"offset", entry.offset.value()},
                          {"position", entry.position},
                          {"max_timestamp_before_ms", entry.max_timestamp_before.value()}});
    } else {
      dump.out.line("    offset " + to_string(entry.offset) + "  position " + std::to_string(entry.position) +
                    "  max timestamp before " + shown(entry.max_timestamp_before));
    }
  }
}

void print_epoch(Dump& dump, const std::string& path, const record::LeaderEpochCache::Entry& entry) {
  if (dump.out.json()) {
    dump.out.print(Json{{"type", "leader_epoch"},
                        {"file", path},
                        {"leader_epoch", entry.epoch.value()},
                        {"start_offset", entry.start_offset.value()}});
  } else {
    dump.out.line("    leader epoch " + to_string(entry.epoch) + " from offset " + to_string(entry.start_offset));
  }
}

void print_producer(Dump& dump, const std::string& path, ProducerId id, const record::ProducerStates::Producer& producer) {
  if (!dump.out.json()) {
    dump.out.line("    producer " + to_string(id) + " epoch " + to_string(producer.epoch) + "  last timestamp " +
                  shown(producer.last_timestamp));
  }
  Json batches = Json::array();
  for (std::size_t i = 0; i < producer.batches_count; ++i) {
    const auto& batch = producer.batches[i];
    if (!dump.out.json()) {
      dump.out.line("        sequence " + to_string(batch.base_sequence) + "-" + to_string(batch.last_sequence) +
                    "  offsets " + to_string(batch.base_offset) + "-" + to_string(batch.last_offset));
    }
    batches.push_back(Json{{"base_sequence", batch.base_sequence.value()},
                           {"last_sequence", batch.last_sequence.value()},
                           {"base_offset", batch.base_offset.value()},
                           {"last_offset", batch.last_offset.value()},
                           {"timestamp_ms", batch.timestamp.value()}});
  }
  if (dump.out.json()) {
    dump.out.print(Json{{"type", "producer"},
                        {"file", path},
                        {"producer_id", id.value()},
                        {"producer_epoch", producer.epoch.value()},
                        {"last_timestamp_ms", producer.last_timestamp.value()},
                        {"batches", std::move(batches)}});
  }
}

std::string name_of(storage::commit_log_format::EntryKind kind) {
  using storage::commit_log_format::EntryKind;
  switch (kind) {
    case EntryKind::batch: return "batch";
    case EntryKind::truncate: return "truncate";
    case EntryKind::reset: return "reset";
    case EntryKind::reset_done: return "reset_done";
  }
  return "unknown";
}

void print_turn(Dump& dump, const std::string& path, const storage::commit_log_format::DecodedTurn& turn) {
  using storage::commit_log_format::EntryKind;
  if (dump.out.json()) {
    dump.out.print(Json{{"type", "turn"},
                        {"file", path},
                        {"turn", turn.number},
                        {"position", turn.position},
                        {"bytes", turn.bytes},
                        {"entries", turn.entries.size()}});
  } else {
    dump.out.line("turn " + std::to_string(turn.number) + " at position " + std::to_string(turn.position) + ": " +
                  std::to_string(turn.bytes) + " bytes, " + plural(turn.entries.size(), "entry", "entries"));
  }
  for (const auto& entry : turn.entries) {
    const auto partition = to_string(entry.id);
    const auto offset = entry.batch.base_offset;
    const auto kind = name_of(entry.kind);
    if (dump.out.json()) {
      dump.out.print(Json{{"type", "turn_entry"},
                          {"file", path},
                          {"turn", turn.number},
                          {"kind", kind},
                          {"partition", partition},
                          {"offset", offset.value()}});
    } else if (entry.kind == EntryKind::batch) {
      dump.out.line("  partition " + partition);
    } else {
      dump.out.line("  partition " + partition + ": " + kind + " to offset " + to_string(offset));
    }
    if (entry.kind != EntryKind::batch) continue;
    if (const auto batch = record::parse_batch(entry.batch.batch)) dump_batch(dump, path, turn.position, *batch);
  }
}

void print_owner(Dump& dump, const std::string& path, ByteView payload) {
  constexpr std::size_t owner_bytes = 16 + 16 + 4;
  if (payload.size() != owner_bytes) {
    dump.damaged(path, "owner of " + std::to_string(payload.size()) + " bytes, wanted 36", {});
    return;
  }
  const auto uuid = [&](std::size_t at) {
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), payload.data() + at, bytes.size());
    return to_string(Uuid{bytes});
  };
  const auto node = load_big_endian<std::int32_t>(payload.data() + 32);
  if (dump.out.json()) {
    dump.out.print(
        Json{{"type", "owner"}, {"file", path}, {"cluster_id", uuid(0)}, {"directory_id", uuid(16)}, {"node_id", node}});
  } else {
    dump.title("owner", path, "node " + std::to_string(node) + " of cluster " + uuid(0) + ", directory " + uuid(16));
  }
}

void print_offsets(Dump& dump, const std::string& path, const std::string& what, ByteView payload) {
  const auto offsets = storage::decode_offsets(payload);
  if (!offsets) {
    dump.damaged(path, offsets.error().message, {});
    return;
  }
  dump.title(what, path, plural(offsets->size(), "partition", "partitions"));
  for (const auto& [id, offset] : *offsets) {
    if (dump.out.json()) {
      dump.out.print(Json{{"type", what}, {"file", path}, {"partition", to_string(id)}, {"offset", offset.value()}});
    } else {
      dump.out.line("    partition " + to_string(id) + "  offset " + to_string(offset));
    }
  }
}

}  // namespace

Status dump_index(Dump& dump, const std::string& path) {
  TROUPE_TRY_ASSIGN(const auto bytes, read_whole(dump.files, path, small_file_bytes_max));
  constexpr std::size_t base_offset_at = 12;
  const auto base = bytes.size() >= base_offset_at + 8 ? load_big_endian<std::int64_t>(bytes.data() + base_offset_at) : 0;
  const auto index = storage::SegmentIndex::decode(bytes, Offset{base});
  if (!index) {
    dump.damaged(path, "index " + path + ": " + index.error().message + "; it is derived: the next start rebuilds it", {});
    return ok();
  }
  print_index(dump, path, *index);
  return ok();
}

Status dump_state(Dump& dump, const std::string& path) {
  const auto offset = storage::parse_segment_file_name(storage::file_name(path), storage::state_extension);
  if (!offset) return Error{Errc::invalid_argument, path + ": a state is read under its name, <20 digits>.state"};
  const auto state = storage::load_log_state(dump.files, storage::parent_path(path), *offset);
  if (!state && state.error().code == Errc::corrupt_message) {
    dump.damaged(path, "state " + state.error().message + "; it is derived: the next start rebuilds it", {});
    return ok();
  }
  if (!state) return state.error();
  const auto producers = state->producers.ids();
  if (dump.out.json()) {
    dump.out.print(Json{{"type", "state"},
                        {"file", path},
                        {"offset", offset->value()},
                        {"leader_epochs", state->epochs.entries().size()},
                        {"producers", producers.size()}});
  } else {
    dump.title("state", path,
               "of the log below offset " + to_string(*offset) + ": " +
                   plural(state->epochs.entries().size(), "leader epoch", "leader epochs") + ", " +
                   plural(producers.size(), "producer", "producers"));
  }
  for (const auto& entry : state->epochs.entries()) print_epoch(dump, path, entry);
  for (const auto id : producers) print_producer(dump, path, id, *state->producers.find(id));
  return ok();
}

Status dump_commit_log_file(Dump& dump, const std::string& path) {
  // A turn's checksum covers the number in the file's name: under another name it says nothing.
  namespace format = storage::commit_log_format;
  auto name = storage::file_name(path);
  const bool spare = name.ends_with(format::spare_extension);
  if (spare) name.remove_suffix(format::spare_extension.size());
  const auto number = storage::parse_segment_file_name(name, format::commit_extension);
  if (!number) return Error{Errc::invalid_argument, path + ": a commit-log file is named by its number: <20 digits>.commit"};
  TROUPE_TRY_ASSIGN(auto bytes, read_whole(dump.files, path, commit_file_bytes_max));
  dump.title("commit log", path, std::to_string(bytes.size()) + (spare ? " bytes, settled: no start reads it" : " bytes"));
  dump_batch_columns(dump);
  format::TurnReader reader{static_cast<std::uint64_t>(number->value()), Bytes::adopt(std::move(bytes)), std::nullopt};
  std::optional<std::uint64_t> before;
  std::optional<std::string> reported;
  while (const auto turn = reader.next()) {
    // That a file does not begin with turn 1 is no damage: the turns before it are in the file before.
    if (before && reader.damage() != reported) dump.damaged(path, *reader.damage(), {{"position", turn->position}});
    reported = reader.damage();
    before = turn->number;
    print_turn(dump, path, *turn);
  }
  return ok();
}

Status dump_manifest(Dump& dump, const std::string& path) {
  TROUPE_TRY_ASSIGN(const auto manifest, storage::Manifest::open(dump.files, path));
  if (manifest.damaged()) {
    dump.damaged(path,
                 "manifest " + path +
                     ": records in its middle cannot be read; the next start completes it from the "
                     "directories",
                 {});
  }
  using State = storage::Manifest::State;
  const auto written = manifest.with(State::written);
  const auto removed = manifest.with(State::removed);
  dump.title("manifest", path,
             plural(written.size(), "partition", "partitions") + ", " + std::to_string(removed.size()) + " removed");
  for (const auto& [ids, state] : {std::pair{&written, "written"}, std::pair{&removed, "removed"}}) {
    for (const auto& id : *ids) {
      if (dump.out.json()) {
        dump.out.print(Json{{"type", "manifest_record"}, {"file", path}, {"partition", to_string(id)}, {"state", state}});
      } else {
        dump.out.line("    partition " + to_string(id) + "  " + state);
      }
    }
  }
  return ok();
}

Status dump_checkpoint(Dump& dump, const std::string& path) {
  using storage::CheckpointMagic;
  TROUPE_TRY_ASSIGN(const auto bytes, read_whole(dump.files, path, small_file_bytes_max));
  const auto magic = bytes.size() >= 4 ? load_big_endian<std::uint32_t>(bytes.data()) : 0;
  const auto payload = storage::read_checkpoint(dump.files, path, magic);
  if (!payload && payload.error().code == Errc::corrupt_message) {
    dump.damaged(path, payload.error().message, {});
    return ok();
  }
  if (!payload) return payload.error();
  if (!*payload) return Error{Errc::not_found, path + ": it is gone"};
  switch (magic) {
    case owner_magic: print_owner(dump, path, **payload); return ok();
    case static_cast<std::uint32_t>(CheckpointMagic::recovery_points):
      print_offsets(dump, path, "recovery_point", **payload);
      return ok();
    case static_cast<std::uint32_t>(CheckpointMagic::high_watermarks):
      print_offsets(dump, path, "high_watermark", **payload);
      return ok();
    case static_cast<std::uint32_t>(CheckpointMagic::log_start_offsets):
      print_offsets(dump, path, "log_start_offset", **payload);
      return ok();
    default: dump.damaged(path, "checkpoint " + path + ": unknown magic", {}); return ok();
  }
}

}  // namespace troupe::cli
