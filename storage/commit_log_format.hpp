#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/commit_log.hpp"

/// The bytes of a commit-log file: docs/formats/commit-log.md. Part of the format: never renumber.
namespace troupe::storage::commit_log_format {

inline constexpr std::string_view commit_extension = ".commit";
inline constexpr std::string_view spare_extension = ".spare";  ///< behind the other: what the file holds is settled
inline constexpr std::uint32_t turn_magic = 0x5443'4d54;       // "TCMT"
inline constexpr std::size_t turn_alignment = 4096;
inline constexpr std::size_t turn_head_bytes = 4 + 4 + 8 + 4 + 4;
inline constexpr std::size_t entry_head_bytes = 1 + 16 + 4 + 8 + 4 + 4 + 4;
/// Turn numbers skipped at each start: a torn turn of the last run keeps a number that is never given again.
inline constexpr std::uint64_t turn_number_gap = 1024;
/// A million turns a second reach it after 146,000 years: above it, bytes are no turn, and adding to a number never overflows.
inline constexpr std::uint64_t turn_number_max = std::uint64_t{1} << 62;

enum class EntryKind : std::uint8_t { batch = 1, truncate = 2, reset = 3, reset_done = 4 };

struct DecodedEntry {
  EntryKind kind;
  TopicIdPartition id;
  PlacedBatch batch;  ///< stamped; for all but batch only the base offset counts
};

struct DecodedTurn {
  std::uint64_t number;
  std::size_t position;  ///< in its file
  std::size_t bytes;     ///< without the padding behind it
  std::vector<DecodedEntry> entries;
};

void encode_entry_head(ByteBuffer& out, EntryKind kind, const TopicIdPartition& id, Offset offset, LeaderEpoch epoch,
                       const Bytes& batch);
/// Fills the first `turn_head_bytes` of `heads`, which holds all entry heads behind them. `file`: the number of the file that it
/// goes to. The checksum covers it, so that what a file held under its last name says nothing under its new one.
void encode_turn_head(ByteBuffer& heads, std::uint64_t file, std::uint64_t number, std::uint32_t frame_bytes,
                      std::uint32_t entries);

/// Reads the turns of one file, in order.
class TurnReader {
 public:
  /// `number`: of the file. `last_turn`: of the file before; turns of this file must be younger.
  TurnReader(std::uint64_t number, Bytes file, std::optional<std::uint64_t> last_turn)
      : number_(number), file_(std::move(file)), last_turn_(last_turn) {}

  /// The next turn that is whole; nullopt at the end of what was written. Damaged turns with later ones behind them are passed
  /// over and noted.
  std::optional<DecodedTurn> next();
  const std::optional<std::string>& damage() const { return damage_; }

 private:
  std::optional<DecodedTurn> turn_at(std::size_t position, std::size_t& size) const;

  std::uint64_t number_;
  Bytes file_;
  std::optional<std::uint64_t> last_turn_;
  std::size_t position_ = 0;
  std::optional<std::string> damage_;
};

}  // namespace troupe::storage::commit_log_format
