#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/prng.hpp"

namespace troupe::test {

/// Decides what of the unsynced state survives a power cut, one question at a time. Answer 0 is always "as after the last
/// sync", the highest answer "as the process last saw it".
class Choices {
 public:
  virtual ~Choices() = default;

  /// An answer in [0, count); `count` is at least 1.
  std::size_t pick(std::size_t count);

  /// The answers so far, for a failure message and for `ReplayedChoices`: "0/2 1/2 3/4" is the answer 0 of 2, 1 of 2, 3 of 4.
  std::string to_string() const;

 protected:
  virtual std::size_t choose(std::size_t count) = 0;
  void forget() { answers_.clear(); }

 private:
  struct Answer {
    std::size_t picked;
    std::size_t count;
  };
  std::vector<Answer> answers_;
};

/// Only what was synced.
class KeepSynced final : public Choices {
  std::size_t choose(std::size_t) override { return 0; }
};

/// Everything: the disk was lucky.
class KeepEverything final : public Choices {
  std::size_t choose(std::size_t count) override { return count - 1; }
};

class RandomChoices final : public Choices {
 public:
  explicit RandomChoices(Prng& random) : random_(random) {}

 private:
  std::size_t choose(std::size_t count) override { return static_cast<std::size_t>(random_.below(count)); }
  Prng& random_;
};

/// The answers that a failure printed, in their order.
class ReplayedChoices final : public Choices {
 public:
  explicit ReplayedChoices(std::vector<std::size_t> answers) : answers_(std::move(answers)) {}

 private:
  std::size_t choose(std::size_t count) override;
  std::vector<std::size_t> answers_;
  std::size_t next_ = 0;
};

/// Every sequence of answers, one a round: `AllChoices all; while (all.next()) { ... all.pick(n) ... }`.
/// The questions may depend on earlier answers; they must not depend on anything else that changes between rounds.
class AllChoices final : public Choices {
 public:
  bool next();

 private:
  struct Digit {
    std::size_t value;
    std::size_t count;
  };
  std::size_t choose(std::size_t count) override;
  std::vector<Digit> digits_;
  std::size_t position_ = 0;
  bool started_ = false;
};

/// How finely a power cut divides what was not synced.
struct PowerCutOptions {
  /// Each 512 B sector of an unsynced page survives or not on its own (F3); otherwise whole 4 KiB pages do (F2).
  bool torn_sectors = false;
  /// A page that was written several times since its last sync may survive as any of the last eight versions, not only as the last.
  bool earlier_versions = false;
};

class FaultyFileSystem;

struct PowerCutPlan {
  PowerCutOptions options = {};
  std::size_t exhaustive_units_max = 10;  ///< up to so many unsynced units, every combination is tried
  std::size_t random_images = 200;        ///< above: nothing, everything, and so many random combinations
};

/// Calls `check` with the disk as it may look after a power cut now, for one combination of survivors after another, and with
/// the combination in words. Returns the number of images. `disk` itself goes on unharmed.
std::size_t for_each_power_cut(const FaultyFileSystem& disk, const PowerCutPlan& plan, Prng& random,
                               const std::function<void(FaultyFileSystem& image, const std::string& choices)>& check);

}  // namespace troupe::test
