#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

#include "base/result.hpp"

namespace troupe {

/// Takes the answer of one call: once, on any thread. Move-only. Destroyed without an answer it answers request_timed_out, "outcome
/// unknown": nobody waits for ever because something in between went away.
template <class T>
class Reply {
 public:
  Reply() = default;
  template <std::invocable<Result<T>> Function>
  requires(!std::same_as<std::remove_cvref_t<Function>, Reply>) Reply(Function function)
      : taker_(std::make_unique<Taker<Function>>(std::move(function))) {}
  Reply(Reply&&) noexcept = default;
  Reply& operator=(Reply&& other) noexcept {
    if (this != &other) {
      give_up();
      taker_ = std::move(other.taker_);
    }
    return *this;
  }
  ~Reply() { give_up(); }

  explicit operator bool() const noexcept { return taker_ != nullptr; }

  void operator()(Result<T> answer) {
    if (auto taker = std::move(taker_)) taker->take(std::move(answer));
  }

 private:
  struct AnyTaker {
    virtual ~AnyTaker() = default;
    virtual void take(Result<T> answer) = 0;
  };
  template <class Function>
  struct Taker final : AnyTaker {
    explicit Taker(Function function) : function_(std::move(function)) {}
    void take(Result<T> answer) override { function_(std::move(answer)); }
    Function function_;
  };
  void give_up() noexcept {
    if (taker_) (*this)(Error{Errc::request_timed_out, "the call was dropped on its way: its outcome is unknown"});
  }

  std::unique_ptr<AnyTaker> taker_;
};

}  // namespace troupe
