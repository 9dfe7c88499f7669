#include "core/consumer/latest_per_key.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace troupe::consumer {
namespace {

/// Due times are rounded up to multiples of this, so that what is due is looked for at most 40 times a second.
constexpr Millis due_grid_ms = 25;

}  // namespace

std::string LatestPerKey::key_of(std::size_t partition, std::optional<std::string_view> key) const {
  std::string name = std::to_string(partition);
  name += key ? ':' : '-';
  if (key) name += *key;
  return name;
}

void LatestPerKey::erase(std::map<Place, Slot>::iterator slot) {
  if (front_ && *front_ == slot) front_.reset();
  bytes_ -= slot->second.key.size() + slot->second.text.size();
  by_key_.erase(slot->second.key);
  by_offset_.erase(slot);
}

void LatestPerKey::put(std::size_t partition, Offset offset, std::optional<std::string_view> key, std::string_view text,
                       MonotonicMs now) {
  auto name = key_of(partition, key);
  MonotonicMs due = now;
  if (const auto known = by_key_.find(name); known != by_key_.end()) {
    const auto old = by_offset_.find(known->second);
    due = old->second.due;
    erase(old);
    ++conflated_;
  } else if (const auto given = given_at_.find(name);
             given != given_at_.end() && given->second + bounds_.interval_ms > now) {
    const auto at = (given->second + bounds_.interval_ms).value() + due_grid_ms - 1;
    due = MonotonicMs{at - at % due_grid_ms};
  }
  earliest_due_ = std::min(earliest_due_, due);
  bytes_ += name.size() + text.size();
  by_key_[name] = Place{partition, offset};
  by_offset_[Place{partition, offset}] = Slot{.key = std::move(name), .text = std::string(text), .due = due};
}

void LatestPerKey::drop(std::size_t partition, std::optional<std::string_view> key) {
  const auto known = by_key_.find(key_of(partition, key));
  if (known != by_key_.end()) erase(by_offset_.find(known->second));
}

const std::string* LatestPerKey::front(MonotonicMs now) {
  if (front_) return &(*front_)->second.text;
  if (by_offset_.empty() || now < earliest_due_) return nullptr;
  auto earliest = MonotonicMs::max();
  for (auto slot = by_offset_.begin(); slot != by_offset_.end(); ++slot) {
    if (slot->second.due <= now) {
      front_ = slot;
      return &slot->second.text;
    }
    earliest = std::min(earliest, slot->second.due);
  }
  earliest_due_ = earliest;
  return nullptr;
}

void LatestPerKey::pop(MonotonicMs now) {
  TROUPE_ASSERT(front_.has_value());
  if (bounds_.interval_ms > 0) {
    if (given_at_.size() >= bounds_.keys_max) forget_old_times(now);
    // More keys than that within one interval: those beyond are not held back, rather than remembered without bound.
    if (given_at_.size() < bounds_.keys_max) given_at_[(*front_)->second.key] = now;
  }
  erase(*front_);
}

void LatestPerKey::forget_old_times(MonotonicMs now) {
  std::erase_if(given_at_, [&](const auto& one) { return one.second + bounds_.interval_ms <= now; });
}

bool LatestPerKey::full() const { return by_offset_.size() >= bounds_.keys_max || bytes_ >= bounds_.bytes_max; }

std::optional<MonotonicMs> LatestPerKey::next_due() const {
  if (by_offset_.empty()) return std::nullopt;
  return earliest_due_;
}

std::optional<Offset> LatestPerKey::lowest(std::size_t partition) const {
  const auto first = by_offset_.lower_bound(Place{partition, Offset{0}});
  if (first == by_offset_.end() || first->first.first != partition) return std::nullopt;
  return first->first.second;
}

}  // namespace troupe::consumer
