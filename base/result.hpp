#pragma once

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/assert.hpp"
#include "base/error.hpp"

namespace troupe {

/// A value or the `Error` that took its place. (std::expected comes with C++23; this is the part of it that we use.)
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const noexcept { return content_.index() == 0; }
  bool has_value() const noexcept { return content_.index() == 0; }

  T& value() & {
    TROUPE_ASSERT(has_value());
    return *std::get_if<0>(&content_);
  }
  const T& value() const& {
    TROUPE_ASSERT(has_value());
    return *std::get_if<0>(&content_);
  }
  T&& value() && {
    TROUPE_ASSERT(has_value());
    return std::move(*std::get_if<0>(&content_));
  }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    TROUPE_ASSERT(!has_value());
    return *std::get_if<1>(&content_);
  }
  Error&& error() && {
    TROUPE_ASSERT(!has_value());
    return std::move(*std::get_if<1>(&content_));
  }

 private:
  std::variant<T, Error> content_;
};

/// Success, or the `Error`.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  explicit operator bool() const noexcept { return !error_.has_value(); }
  bool has_value() const noexcept { return !error_.has_value(); }

  const Error& error() const& {
    TROUPE_ASSERT(error_.has_value());
    return *error_;
  }
  Error&& error() && {
    TROUPE_ASSERT(error_.has_value());
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

/// Success, spelled for return statements: `return ok();`
inline Status ok() { return {}; }

}  // namespace troupe

#define TROUPE_CONCAT_(a, b) a##b
#define TROUPE_CONCAT(a, b) TROUPE_CONCAT_(a, b)

/// Returns the error of `expression` (a Status or Result) from this function, or goes on.
#define TROUPE_TRY(expression)                                                                         \
  do {                                                                                                 \
    if (auto troupe_status_ = (expression); !troupe_status_) return std::move(troupe_status_).error(); \
  } while (false)

/// Declares `variable` as the value of `expression`, or returns its error from this function.
#define TROUPE_TRY_ASSIGN(variable, expression)                                                                    \
  auto TROUPE_CONCAT(troupe_result_, __LINE__) = (expression);                                                     \
  if (!TROUPE_CONCAT(troupe_result_, __LINE__)) return std::move(TROUPE_CONCAT(troupe_result_, __LINE__)).error(); \
  variable = std::move(TROUPE_CONCAT(troupe_result_, __LINE__)).value()
