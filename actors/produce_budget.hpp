#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace troupe::actors {

/// Bytes taken from a budget, given back at the end. May outlive the budget.
class BudgetShare {
 public:
  BudgetShare() = default;
  BudgetShare(BudgetShare&& other) noexcept : taken_(std::move(other.taken_)), bytes_(other.bytes_) {}
  BudgetShare& operator=(BudgetShare&& other) noexcept {
    std::swap(taken_, other.taken_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~BudgetShare() {
    if (taken_) taken_->fetch_sub(bytes_, std::memory_order_relaxed);
  }

 private:
  friend class ProduceBudget;
  BudgetShare(std::shared_ptr<std::atomic<std::size_t>> taken, std::size_t bytes)
      : taken_(std::move(taken)), bytes_(bytes) {}
  std::shared_ptr<std::atomic<std::size_t>> taken_;
  std::size_t bytes_ = 0;
};

/// What a node may hold of requests that are not answered yet: admission comes before any actor send. Any thread.
class ProduceBudget {
 public:
  explicit ProduceBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  /// nullopt: full. A request larger than the whole budget goes when nothing else is there.
  std::optional<BudgetShare> take(std::size_t bytes) {
    const auto before = taken_->fetch_add(bytes, std::memory_order_relaxed);
    if (before == 0 || before + bytes <= bytes_max_) return BudgetShare{taken_, bytes};
    taken_->fetch_sub(bytes, std::memory_order_relaxed);
    return std::nullopt;
  }
  std::size_t taken() const { return taken_->load(std::memory_order_relaxed); }
  std::size_t bytes_max() const { return bytes_max_; }

 private:
  const std::size_t bytes_max_;
  const std::shared_ptr<std::atomic<std::size_t>> taken_ = std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace troupe::actors
