#include "tests/support/power_cut.hpp"

#include "base/assert.hpp"
#include "tests/support/faulty_file_system.hpp"

namespace troupe::test {

std::size_t Choices::pick(std::size_t count) {
  TROUPE_ASSERT(count >= 1);
  if (count == 1) return 0;
  const auto picked = choose(count);
  TROUPE_ASSERT(picked < count);
  answers_.push_back({picked, count});
  return picked;
}

std::string Choices::to_string() const {
  std::string text;
  for (const auto& answer : answers_) {
    if (!text.empty()) text += ' ';
    text += std::to_string(answer.picked) + "/" + std::to_string(answer.count);
  }
  return text;
}

std::size_t ReplayedChoices::choose(std::size_t count) {
  TROUPE_ASSERT(next_ < answers_.size() && answers_[next_] < count);
  return answers_[next_++];
}

bool AllChoices::next() {
  forget();
  position_ = 0;
  if (!started_) return started_ = true;
  while (!digits_.empty()) {
    auto& last = digits_.back();
    if (last.value + 1 < last.count) {
      ++last.value;
      return true;
    }
    digits_.pop_back();
  }
  return false;
}

std::size_t AllChoices::choose(std::size_t count) {
  if (position_ == digits_.size()) digits_.push_back({0, count});
  const auto& digit = digits_[position_++];
  TROUPE_ASSERT(digit.count == count);
  return digit.value;
}

std::size_t for_each_power_cut(const FaultyFileSystem& disk, const PowerCutPlan& plan, Prng& random,
                               const std::function<void(FaultyFileSystem& image, const std::string& choices)>& check) {
  std::size_t images = 0;
  const auto cut_and_check = [&](Choices& choices) {
    auto image = disk.power_cut(choices, plan.options);
    ++images;
    check(image, choices.to_string());
  };

  if (disk.unsynced_unit_count(plan.options) <= plan.exhaustive_units_max) {
    for (AllChoices all; all.next();) cut_and_check(all);
    return images;
  }
  KeepSynced synced;
  cut_and_check(synced);
  KeepEverything everything;
  cut_and_check(everything);
  for (std::size_t i = 0; i < plan.random_images; ++i) {
    RandomChoices some(random);
    cut_and_check(some);
  }
  return images;
}

}  // namespace troupe::test
