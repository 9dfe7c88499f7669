#include "tests/sim/replication/sim_log.hpp"

#include <algorithm>

#include "core/record/record_batch.hpp"

namespace troupe::sim {
namespace {

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2);
  return hash * 0xff51afd7ed558ccdULL;
}

std::uint64_t chained(std::uint64_t before, const record::RecordBatchHeader& header) {
  auto hash = mix(before, static_cast<std::uint64_t>(header.base_offset.value()));
  hash = mix(hash, static_cast<std::uint64_t>(header.leader_epoch.value()));
  return mix(hash, header.crc);
}

}  // namespace

Status SimLog::append(const Bytes& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const auto header = record::parse_batch_header(bytes.view().subspan(at));
    if (!header) return header.error();
    if (header->base_offset != log_end()) return Error{Errc::invalid_argument, "not at the end of the log"};
    const auto chain = chained(batches_.empty() ? first_chain_ : batches_.back().chain, *header);
    batches_.push_back(
        {header->base_offset, header->next_offset(), header->leader_epoch, chain, bytes.slice(at, header->size_bytes())});
    epochs_.assign(header->leader_epoch, header->base_offset);
    at += header->size_bytes();
  }
  return ok();
}

record::ProducerStates SimLog::producers() const {
  auto producers = before_first_;
  for (const auto& batch : batches_) producers.apply(*record::parse_batch_header(batch.bytes));
  return producers;
}

void SimLog::rebuild_epochs() {
  epochs_.truncate_from(log_end());
  durable_end_ = std::min(durable_end_, log_end());
}

void SimLog::truncate(Offset offset) {
  while (!batches_.empty() && batches_.back().next > offset) batches_.pop_back();
  rebuild_epochs();
}

void SimLog::restart(Offset offset, std::uint64_t chain) {
  batches_.clear();
  epochs_.clear();
  before_first_.clear();
  first_ = log_start_ = durable_end_ = offset;
  first_chain_ = chain;
}

void SimLog::move_start(Offset offset, std::optional<std::uint64_t> chain) {
  log_start_ = std::max(log_start_, std::min(offset, log_end()));
  epochs_.truncate_to_start(log_start_);
  while (!batches_.empty() && batches_.front().next <= log_start_) {
    before_first_.apply(*record::parse_batch_header(batches_.front().bytes));
    first_ = batches_.front().next;
    first_chain_ = batches_.front().chain;
    batches_.pop_front();
  }
  if (batches_.empty() && chain) first_chain_ = *chain;
}

Bytes SimLog::read(Offset from, Offset to, std::size_t bytes_max) const {
  ByteBuffer all;
  auto batch = std::ranges::upper_bound(batches_, from, {}, &Batch::next);
  for (; batch != batches_.end() && batch->next <= to; ++batch) {
    if (!all.empty() && all.size() + batch->bytes.size() > bytes_max) break;
    append_bytes(all, batch->bytes);
  }
  return Bytes::adopt(std::move(all));
}

bool SimLog::lose_unsynced(Prng& prng) {
  const auto synced = std::ranges::upper_bound(batches_, durable_end_, {}, &Batch::next) - batches_.begin();
  const auto unsynced = static_cast<std::uint64_t>(static_cast<std::ptrdiff_t>(batches_.size()) - synced);
  if (unsynced == 0) return false;
  // A batch that was torn is cut away by recovery: what is left ends where a batch ends.
  const auto kept = static_cast<std::ptrdiff_t>(prng.below(unsynced + 1));
  batches_.resize(static_cast<std::size_t>(synced + kept));
  rebuild_epochs();
  durable_end_ = log_end();  // recovery syncs what it found
  return static_cast<std::uint64_t>(kept) < unsynced;
}

std::optional<std::uint64_t> SimLog::chain_at(Offset boundary) const {
  if (boundary == first_) return first_chain_;
  const auto batch = std::ranges::lower_bound(batches_, boundary, {}, &Batch::next);
  if (batch == batches_.end() || batch->next != boundary) return std::nullopt;
  return batch->chain;
}

Offset SimLog::boundary_below(Offset offset) const {
  const auto after = std::ranges::upper_bound(batches_, offset, {}, &Batch::next);
  return after == batches_.begin() ? first_ : std::prev(after)->next;
}

}  // namespace troupe::sim
