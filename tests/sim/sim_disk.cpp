#include "tests/sim/sim_disk.hpp"

#include <algorithm>

#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"

namespace troupe::sim {

using quorum::LogEntry;

Chain chain_after(Chain before, const LogEntry& entry) {
  Chain mixed = before;
  for (const auto value : {static_cast<std::uint64_t>(entry.base_offset.value()),
                           static_cast<std::uint64_t>(entry.epoch.value()), static_cast<std::uint64_t>(entry.kind),
                           static_cast<std::uint64_t>(entry.records), static_cast<std::uint64_t>(crc32c(entry.payload))}) {
    mixed = (mixed ^ value) * 0x9e3779b97f4a7c15ULL;
    mixed ^= mixed >> 29;
  }
  return mixed;
}

ByteBuffer encode_applied(const Applied& applied, ByteView state) {
  ByteBuffer bytes;
  ByteWriter out{bytes};
  out.integer(applied.end.value());
  out.integer(applied.chain);
  out.integer(static_cast<std::uint32_t>(state.size()));
  append_bytes(bytes, state);
  for (std::size_t i = 0; i < applied.chain % 500; ++i) out.integer(static_cast<std::uint8_t>(i));
  return bytes;
}

Bytes state_of(const Bytes& bytes) {
  constexpr std::size_t head = sizeof(std::int64_t) + sizeof(std::uint64_t) + sizeof(std::uint32_t);
  ByteReader in{bytes.view().subspan(head - sizeof(std::uint32_t))};
  return bytes.slice(head, *in.integer<std::uint32_t>());
}

std::optional<Applied> decode_applied(ByteView bytes) {
  ByteReader in{bytes};
  const auto end = in.integer<std::int64_t>();
  const auto chain = in.integer<std::uint64_t>();
  const auto state = in.integer<std::uint32_t>();
  if (!end || !chain || !state || in.remaining() != *chain % 500 + *state) return std::nullopt;
  return Applied{Offset{*end}, *chain};
}

void MetadataLog::append(const LogEntry& entry) {
  TROUPE_ASSERT(entry.base_offset == end());
  chains_.push_back(chain_after(chains_.empty() ? start_chain_ : chains_.back(), entry));
  entries_.push_back(entry);
}

void MetadataLog::truncate_to(Offset offset) {
  while (!entries_.empty() && entries_.back().base_offset >= offset) {
    entries_.pop_back();
    chains_.pop_back();
  }
  TROUPE_ASSERT(end() == offset);
}

void MetadataLog::cut(Offset offset) {
  while (!entries_.empty() && entries_.front().base_offset < offset) {
    start_ = entries_.front().end_offset();
    start_chain_ = chains_.front();
    entries_.pop_front();
    chains_.pop_front();
  }
}

void MetadataLog::reset(const Applied& applied) {
  entries_.clear();
  chains_.clear();
  start_ = applied.end;
  start_chain_ = applied.chain;
}

std::size_t MetadataLog::index_of(Offset base_offset) const {
  return static_cast<std::size_t>(std::ranges::lower_bound(entries_, base_offset, {}, &LogEntry::base_offset) -
                                  entries_.begin());
}

std::optional<Chain> MetadataLog::chain_at(Offset offset) const {
  if (offset == start_) return start_chain_;
  if (offset == end()) return chains_.back();
  const auto next = index_of(offset);
  if (offset < start_ || next >= entries_.size() || entries_[next].base_offset != offset) return std::nullopt;
  return chains_[next - 1];
}

Result<std::vector<LogEntry>> MetadataLog::read(Offset from, Offset to, std::size_t bytes_max) const {
  const auto first = index_of(from);
  if (from < start_ || first >= entries_.size() || entries_[first].base_offset != from) {
    return Error{Errc::offset_out_of_range, "nothing at " + to_string(from)};
  }
  std::vector<LogEntry> found;
  std::size_t bytes = 0;
  for (auto i = first; i < entries_.size() && entries_[i].end_offset() <= to; ++i) {
    bytes += entries_[i].payload.size() + 64;
    if (!found.empty() && bytes > bytes_max) break;
    found.push_back(entries_[i]);
  }
  return found;
}

record::LeaderEpochCache MetadataLog::epochs() const {
  record::LeaderEpochCache cache;
  for (const auto& entry : entries_) cache.assign(entry.epoch, entry.base_offset);
  return cache;
}

quorum::StoredState DurableState::stored() const {
  quorum::StoredState state{
      .hard_state = hard_state, .log_start_offset = log.start(), .log_end_offset = log.end(), .epochs = log.epochs()};
  if (snapshot) state.snapshot = snapshot->meta;
  return state;
}

Applied DurableState::applied() const { return snapshot ? *decode_applied(snapshot->bytes) : Applied{}; }

namespace {

std::size_t steps(const quorum::Persist& work) {
  return (work.hard_state ? 1U : 0U) + (work.reset_to ? 1U : 0U) + (work.truncate_to ? 1U : 0U) + work.entries.size();
}
std::size_t steps(const quorum::InstallSnapshot&) { return 2; }
std::size_t steps(const quorum::CutLog&) { return 1; }
std::size_t steps(const OwnSnapshot&) { return 1; }

void perform_one(DurableState& disk, const quorum::Persist& work, std::size_t left) {
  const auto step = [&] { return left > 0 && left-- > 0; };
  if (work.hard_state && step()) disk.hard_state = work.hard_state;
  if (work.reset_to && step()) disk.log.reset(disk.applied());
  if (work.truncate_to && step()) disk.log.truncate_to(*work.truncate_to);
  for (const auto& entry : work.entries) {
    if (step()) disk.log.append(entry);
  }
}

void perform_one(DurableState& disk, const quorum::InstallSnapshot& work, std::size_t left) {
  if (left > 0) disk.snapshot = SimSnapshot{work.snapshot, work.bytes};
  if (left > 1) disk.log.reset(disk.applied());
}

void perform_one(DurableState& disk, const quorum::CutLog& work, std::size_t left) {
  if (left > 0) disk.log.cut(work.before);
}

void perform_one(DurableState& disk, const OwnSnapshot& work, std::size_t left) {
  const bool newer = !disk.snapshot || disk.snapshot->meta.end_offset < work.snapshot.meta.end_offset;
  if (left > 0 && newer) disk.snapshot = work.snapshot;
}

}  // namespace

void perform(DurableState& disk, const DiskWork& work, std::size_t steps) {
  std::visit([&](const auto& one) { perform_one(disk, one, steps); }, work);
}

std::size_t steps_of(const DiskWork& work) {
  return std::visit([](const auto& one) { return steps(one); }, work);
}

}  // namespace troupe::sim
