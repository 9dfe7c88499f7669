#pragma once

#include <list>
#include <optional>
#include <variant>

#include "actors/messages.hpp"
#include "core/metadata/metadata_image.hpp"
#include "core/metadata/quorum_effects.hpp"

/// What the metadata quorum wants of its disk, as steps of which one at a time is on its way.
namespace troupe::actors {

/// A snapshot of the node's own image.
struct OwnSnapshot {
  quorum::SnapshotMeta snapshot = {};
  Bytes image = {};
};

/// A snapshot that cannot be used, or is not wanted any more; nothing was changed.
struct SnapshotRejected {
  std::uint64_t token = 0;  ///< of InstallSnapshot
  Error error = {Errc::corrupt_message, {}};
};
/// For the disk worker, or (SnapshotRejected) the work's end.
using QuorumStep = std::variant<WriteSideFile, ResetLog, TruncateLog, AppendBatches, AdvanceLogStart, SnapshotRejected>;

/// The end of a work that others wait for.
struct QuorumWorkDone {
  std::optional<std::uint64_t> persisted = {};
  metadata::ImagePtr installed = {};                        ///< of InstallSnapshot
  std::optional<quorum::SnapshotMeta> snapshot_taken = {};  ///< of OwnSnapshot
};

/// Works come in the order in which the quorum wants them, and end in that order, each step after the one before: hard state, reset,
/// truncation, entries; a snapshot's file, then the reset. Entries of works that follow each other go as one append.
///
///   push, push ... --> next: a step --> the disk worker --> done: the work's end, or null: it has more steps
///                        ^                  `--- storage_full, later --- again
class QuorumWorks {
 public:
  using Work = std::variant<quorum::Persist, quorum::InstallSnapshot, quorum::CutLog, OwnSnapshot>;

  void push(Work work) { works_.push_back(std::move(work)); }
  /// The step that comes next, once; nullopt: one is on its way, or nothing is to be done. Without a receiver in AppendBatches.
  std::optional<QuorumStep> next();
  /// The step on its way has to be done once more.
  void again() { on_its_way_ = false; }
  /// It is done.
  std::optional<QuorumWorkDone> done();
  /// Whether the work at hand is the node's own snapshot: the one that may fail.
  bool is_own_snapshot() const { return !works_.empty() && std::holds_alternative<OwnSnapshot>(works_.front()); }
  /// Gives the work at hand up.
  void drop();
  void clear();

 private:
  std::optional<QuorumStep> step(quorum::Persist& work);
  std::optional<QuorumStep> step(quorum::InstallSnapshot& work);
  std::optional<QuorumStep> step(quorum::CutLog& work);
  std::optional<QuorumStep> step(OwnSnapshot& work);
  void gather(quorum::Persist& work);

  std::list<Work> works_;
  bool on_its_way_ = false;
  int stage_ = 0;  ///< of the work at hand
  metadata::ImagePtr image_;
  Offset kept_end_{0};  ///< of the snapshot on the disk, if it was written here
};

}  // namespace troupe::actors
