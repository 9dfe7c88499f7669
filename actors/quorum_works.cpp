#include "actors/quorum_works.hpp"

#include "actors/metadata_quorum.hpp"
#include "core/metadata/quorum_log.hpp"
#include "core/metadata/quorum_storage.hpp"
#include "core/metadata/snapshot.hpp"

namespace troupe::actors {
namespace {

/// Entries that one append takes, about: the disk's turn ends with it.
constexpr std::size_t append_bytes_max = std::size_t{1} << 20;

bool only_entries(const quorum::Persist& work) { return !work.hard_state && !work.reset_to && !work.truncate_to; }

WriteSideFile snapshot_file(const quorum::SnapshotMeta& snapshot, const Bytes& image) {
  return {metadata::snapshot_file_name, metadata::snapshot_magic,
          Bytes::adopt(quorum::encode_snapshot_file(snapshot, image))};
}

}  // namespace

std::optional<QuorumStep> QuorumWorks::next() {
  if (on_its_way_ || works_.empty()) return std::nullopt;
  on_its_way_ = true;
  return std::visit([this](auto& work) { return step(work); }, works_.front());
}

/// Stages: 0 hard state, 1 reset, 2 truncation, 3 entries.
std::optional<QuorumStep> QuorumWorks::step(quorum::Persist& work) {
  if (stage_ == 0) {
    if (work.hard_state) {
      return WriteSideFile{quorum::hard_state_file_name, quorum::hard_state_magic,
                           Bytes::adopt(quorum::encode_hard_state(*work.hard_state))};
    }
    stage_ = 1;
  }
  if (stage_ == 1) {
    if (work.reset_to) return ResetLog{metadata_partition, *work.reset_to};
    stage_ = 2;
  }
  if (stage_ == 2) {
    if (work.truncate_to) return TruncateLog{metadata_partition, *work.truncate_to};
    stage_ = 3;
  }
  gather(work);
  AppendBatches append{metadata_partition, work.token, {}, {}};
  for (const auto& entry : work.entries) {
    append.batches.push_back({entry.base_offset, entry.epoch, quorum::entry_batch(entry)});
  }
  return append;
}

/// Takes the entries of the works behind it along, while those are nothing else.
void QuorumWorks::gather(quorum::Persist& work) {
  std::size_t bytes = 0;
  for (const auto& entry : work.entries) bytes += quorum::entry_bytes(entry);
  while (works_.size() > 1 && bytes < append_bytes_max) {
    const auto next = std::next(works_.begin());
    auto* following = std::get_if<quorum::Persist>(&*next);
    if (following == nullptr || !only_entries(*following)) return;
    for (auto& entry : following->entries) {
      bytes += quorum::entry_bytes(entry);
      work.entries.push_back(std::move(entry));
    }
    work.token = following->token;
    works_.erase(next);
  }
}

std::optional<QuorumStep> QuorumWorks::step(quorum::InstallSnapshot& work) {
  if (stage_ == 1) return ResetLog{metadata_partition, work.snapshot.end_offset};
  auto image = metadata::decode_snapshot(work.bytes);
  if (!image) return SnapshotRejected{work.token, image.error()};
  if ((*image)->applied() != work.snapshot.end_offset) {
    return SnapshotRejected{
        work.token,
        {Errc::corrupt_message, "a metadata snapshot of what is below " + to_string((*image)->applied()) +
                                    " was sent as one below " + to_string(work.snapshot.end_offset)}};
  }
  image_ = std::move(*image);
  return snapshot_file(work.snapshot, work.bytes);
}

std::optional<QuorumStep> QuorumWorks::step(quorum::CutLog& work) {
  return AdvanceLogStart{metadata_partition, work.before};
}

std::optional<QuorumStep> QuorumWorks::step(OwnSnapshot& work) {
  if (work.snapshot.end_offset < kept_end_) {
    return SnapshotRejected{0, {Errc::conflict, "another node's snapshot, a later one, was installed meanwhile"}};
  }
  return snapshot_file(work.snapshot, work.image);
}

std::optional<QuorumWorkDone> QuorumWorks::done() {
  on_its_way_ = false;
  TROUPE_ASSERT(!works_.empty());
  QuorumWorkDone end;
  if (const auto* persist = std::get_if<quorum::Persist>(&works_.front())) {
    ++stage_;
    const bool more = (stage_ <= 1 && persist->reset_to) || (stage_ <= 2 && persist->truncate_to) ||
                      (stage_ <= 3 && !persist->entries.empty());
    if (more) return std::nullopt;
    end.persisted = persist->token;
  } else if (const auto* install = std::get_if<quorum::InstallSnapshot>(&works_.front())) {
    if (++stage_ == 1) return std::nullopt;
    end.persisted = install->token;
    end.installed = std::move(image_);
    kept_end_ = install->snapshot.end_offset;
  } else if (const auto* own = std::get_if<OwnSnapshot>(&works_.front())) {
    end.snapshot_taken = own->snapshot;
    kept_end_ = own->snapshot.end_offset;
  }
  drop();
  return end;
}

void QuorumWorks::drop() {
  works_.pop_front();
  on_its_way_ = false;
  stage_ = 0;
  image_.reset();
}

void QuorumWorks::clear() {
  works_.clear();
  on_its_way_ = false;
  stage_ = 0;
  image_.reset();
}

}  // namespace troupe::actors
