#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <utility>

namespace troupe::actors {

class ProduceBudget;

/// Bytes taken from a budget, given back at the end.
class BudgetShare {
 public:
  BudgetShare() = default;
  BudgetShare(BudgetShare&& other) noexcept : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
  BudgetShare& operator=(BudgetShare&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  inline ~BudgetShare();

 private:
  friend class ProduceBudget;
  BudgetShare(ProduceBudget* budget, std::size_t bytes) : budget_(budget), bytes_(bytes) {}
  ProduceBudget* budget_ = nullptr;
  std::size_t bytes_ = 0;
};

/// What a node may hold of requests that are not answered yet: admission comes before any actor send. Any thread; outlives its shares.
class ProduceBudget {
 public:
  explicit ProduceBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  /// nullopt: full. A request larger than the whole budget goes when nothing else is there.
  std::optional<BudgetShare> take(std::size_t bytes) {
    const auto before = taken_.fetch_add(bytes, std::memory_order_relaxed);
    if (before == 0 || before + bytes <= bytes_max_) return BudgetShare{this, bytes};
    taken_.fetch_sub(bytes, std::memory_order_relaxed);
    return std::nullopt;
  }
  std::size_t taken() const { return taken_.load(std::memory_order_relaxed); }
  std::size_t bytes_max() const { return bytes_max_; }

 private:
  friend class BudgetShare;
  const std::size_t bytes_max_;
  std::atomic<std::size_t> taken_{0};
};

inline BudgetShare::~BudgetShare() {
  if (budget_ != nullptr) budget_->taken_.fetch_sub(bytes_, std::memory_order_relaxed);
}

}  // namespace troupe::actors
