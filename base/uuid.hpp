#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace troupe {

class Prng;

/// 128 bits that name a topic, a cluster or a run of a process. All zero means none.
class Uuid {
 public:
  constexpr Uuid() = default;
  constexpr explicit Uuid(std::array<std::uint8_t, 16> bytes) : bytes_(bytes) {}

  /// A random (version 4) UUID, from the operating system's generator.
  static Uuid random();
  /// A version 4 UUID from seeded numbers, for tests and simulation.
  static Uuid random(Prng& prng);
  /// Reads "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", lower or upper case; nullopt for anything else.
  static std::optional<Uuid> parse(std::string_view text);

  constexpr const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  constexpr bool is_nil() const { return bytes_ == std::array<std::uint8_t, 16>{}; }

  friend constexpr auto operator<=>(const Uuid&, const Uuid&) = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

/// Lower case, with dashes.
std::string to_string(const Uuid& uuid);

}  // namespace troupe

template <>
struct std::hash<troupe::Uuid> {
  std::size_t operator()(const troupe::Uuid& uuid) const noexcept;
};
