#pragma once

#include <map>
#include <set>

#include "core/processing/processor.hpp"

namespace troupe::processing {

/// How often which record of one partition was failed on, over the runs of its task, and which are passed over from now on.
///
/// Bounded by how often a task fails; what lies below the position is forgotten, unless every run reads it again.
class FailureLedger {
 public:
  FailureLedger() = default;
  explicit FailureLedger(const ProcessorSpec& spec)
      : attempts_max_(spec.on_error == OnError::skip ? spec.attempts_max : 0), keep_(spec.rebuild) {}

  /// The processor failed on the record at `offset`. True: that was once too often, from the next run on it is passed over.
  bool on_failure(Offset offset) {
    if (attempts_max_ == 0 || ++attempts_[offset] < attempts_max_) return false;
    attempts_.erase(offset);
    ++skipped_;
    return skips_.insert(offset).second;
  }
  void on_committed(Offset position) {
    if (keep_) return;
    attempts_.erase(attempts_.begin(), attempts_.lower_bound(position));
    skips_.erase(skips_.begin(), skips_.lower_bound(position));
  }
  bool skips(Offset offset) const { return skips_.contains(offset); }
  /// Records passed over since the node started.
  std::uint64_t skipped() const { return skipped_; }

 private:
  int attempts_max_ = 0;  ///< 0: for ever
  bool keep_ = false;
  std::map<Offset, int> attempts_;
  std::set<Offset> skips_;
  std::uint64_t skipped_ = 0;
};

}  // namespace troupe::processing
