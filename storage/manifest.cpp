#include "storage/manifest.hpp"

#include <algorithm>
#include <cstring>

#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "storage/paths.hpp"

namespace troupe::storage {
namespace {

constexpr std::size_t record_bytes = 32;
constexpr std::byte record_version{1};
constexpr std::uint64_t manifest_bytes_max = std::uint64_t{256} << 20;

void encode_record(ByteBuffer& out, const TopicIdPartition& id, Manifest::State state) {
  const auto at = out.size();
  ByteWriter writer{out};
  writer.integer(std::uint32_t{0});  // checksum, below
  out.push_back(record_version);
  out.push_back(static_cast<std::byte>(state));
  writer.integer(std::uint16_t{0});
  writer.bytes(std::as_bytes(std::span{id.topic_id.bytes()}));
  writer.integer(id.partition.value());
  writer.integer(std::uint32_t{0});
  store_big_endian(out.data() + at, crc32c(ByteView{out}.subspan(at + 4)));
}

bool decode_record(ByteView bytes, TopicIdPartition& id, Manifest::State& state) {
  if (load_big_endian<std::uint32_t>(bytes.data()) != crc32c(bytes.subspan(4))) return false;
  if (bytes[4] != record_version) return false;
  state = static_cast<Manifest::State>(bytes[5]);
  if (state != Manifest::State::written && state != Manifest::State::removed) return false;
  std::array<std::uint8_t, 16> topic_id{};
  std::memcpy(topic_id.data(), bytes.data() + 8, topic_id.size());
  id = {TopicId{topic_id}, PartitionId{load_big_endian<std::int32_t>(bytes.data() + 24)}};
  return true;
}

}  // namespace

Result<Manifest> Manifest::open(FileSystem& file_system, const std::string& path) {
  Manifest manifest{file_system, path};
  TROUPE_TRY_ASSIGN(manifest.file_, file_system.open(path, OpenMode::create));
  TROUPE_TRY(file_system.sync_directory(parent_path(path)));
  manifest.file_->drop_cache();
  TROUPE_TRY_ASSIGN(const auto size, manifest.file_->size());
  if (size > manifest_bytes_max) {
    return Error{Errc::corrupt_message, path + " has " + std::to_string(size) + " bytes"};
  }
  ByteBuffer content(static_cast<std::size_t>(size));
  TROUPE_TRY_ASSIGN(const auto got, manifest.file_->read_at(0, content));
  content.resize(got);
  std::size_t good_end = 0;
  for (std::size_t at = 0; at + record_bytes <= content.size(); at += record_bytes) {
    TopicIdPartition id;
    State state{};
    if (!decode_record(ByteView{content}.subspan(at, record_bytes), id, state)) continue;
    // A record that cannot be read before one that can: not a torn tail.
    if (at != good_end) manifest.damaged_ = true;
    manifest.states_[id] = state;
    good_end = at + record_bytes;
  }
  manifest.end_ = good_end;
  if (good_end != content.size()) TROUPE_TRY(manifest.file_->truncate(good_end));
  return manifest;
}

std::optional<Manifest::State> Manifest::state(const TopicIdPartition& id) const {
  const auto found = states_.find(id);
  if (found == states_.end()) return std::nullopt;
  return found->second;
}

std::vector<TopicIdPartition> Manifest::with(State state) const {
  std::vector<TopicIdPartition> ids;
  for (const auto& [id, its_state] : states_) {
    if (its_state == state) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

Status Manifest::note(const TopicIdPartition& id, State state) {
  if (this->state(id) == state) return ok();
  ByteBuffer bytes;
  encode_record(bytes, id, state);
  if (auto written = file_->write_at(end_, bytes); !written) {
    (void)file_->truncate(end_);  // a torn record is cut off at the next start anyway
    return written;
  }
  end_ += record_bytes;
  states_[id] = state;
  dirty_ = true;
  return ok();
}

Status Manifest::sync() {
  if (!dirty_) return ok();
  // A file whose sync failed is not trusted again (S2): what it should hold goes to a new one.
  if (sync_failed_) return rewrite();
  if (auto synced = file_->sync(); !synced) {
    sync_failed_ = true;
    return synced;
  }
  dirty_ = false;
  return ok();
}

Status Manifest::rewrite() {
  ByteBuffer bytes;
  for (const auto state : {State::written, State::removed}) {
    for (const auto& id : with(state)) encode_record(bytes, id, state);
  }
  const auto temporary = path_ + ".tmp";
  if (auto removed = file_system_->remove(temporary); !removed && removed.error().code != Errc::not_found) return removed;
  TROUPE_TRY_ASSIGN(auto file, file_system_->open(temporary, OpenMode::create_exclusive));
  TROUPE_TRY(file->write_at(0, bytes));
  TROUPE_TRY(file->sync());
  TROUPE_TRY(file_system_->rename(temporary, path_));
  TROUPE_TRY(file_system_->sync_directory(parent_path(path_)));
  file_ = std::move(file);
  end_ = bytes.size();
  damaged_ = false;
  dirty_ = false;
  sync_failed_ = false;
  return ok();
}

}  // namespace troupe::storage
