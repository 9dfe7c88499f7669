#include "actors/log_cleaner.hpp"

#include <algorithm>
#include <map>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/replica_messages.hpp"
#include "base/log.hpp"
#include "core/replication/claim.hpp"
#include "core/replication/claim_index.hpp"
#include "storage/retention.hpp"

namespace troupe::actors {

/// From a log_cleaner to itself.
struct CleanerWakeup {
  enum class Kind : std::uint8_t { look, step };
  Kind kind;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::CleanerWakeup)

namespace troupe::actors {
namespace {

using storage::LogCleaning;

constexpr auto disk_timeout = std::chrono::seconds(60);

/// Whether a retry of the request that wrote this record may still come.
bool carries_claim(const record::RecordView& record, TimestampMs since) {
  if (record.headers_count == 0) return false;
  const auto headers = record::decode_headers(record);
  if (!headers) return true;
  for (const auto& header : *headers) {
    if (as_text(header.key) != replication::claim_header || !header.value) continue;
    const auto claim = replication::decode_claim(*header.value);
    if (claim && claim->claimed_at >= since) return true;
  }
  return false;
}

class LogCleanerState {
 public:
  using Self = caf::stateful_actor<LogCleanerState>;
  static constexpr const char* name = "log_cleaner";

  caf::behavior make_behavior(Self* self, LogCleanerOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    if (!options_.counts) options_.counts = std::make_shared<LogCleanerCounts>();
    row_->set_state(ActorState::running);
    wake(CleanerWakeup::Kind::look, options_.look_ms);
    return {[this](const CleanerWakeup& wakeup) {
      const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
      if (wakeup.kind == CleanerWakeup::Kind::look) {
        look();
      } else {
        step();
      }
    }};
  }

 private:
  void wake(CleanerWakeup::Kind kind, Millis pause) {
    self_->delayed_send(self_, std::chrono::milliseconds(pause), CleanerWakeup{kind});
  }
  void look_later() { wake(CleanerWakeup::Kind::look, options_.look_ms); }

  void look() {
    const auto now = now_of(*self_);
    trusted_ = wall_.observe(now, options_.clock->wall_now());
    std::erase_if(failed_, [&](const auto& one) { return now - one.second >= options_.retry_ms; });
    const auto worker = options_.disk_worker();
    if (!worker) return look_later();
    NextCleaning request{.now = trusted_, .except = {}};
    for (const auto& [id, since] : failed_) request.except.push_back(id);
    self_->request(worker, disk_timeout, std::move(request))
        .then([this](const CleaningOffer& offer) { begin_with(offer); }, [this](caf::error&) { look_later(); });
  }

  void begin_with(const CleaningOffer& offer) {
    if (!offer.plan) return look_later();
    LogCleaning::Options options{.map_bytes_max = options_.map_bytes_max, .now = trusted_};
    options.keep = [since = options_.clock->wall_now() - replication::ClaimIndex::kept_ms](
                       const record::RecordView& record) { return carries_claim(record, since); };
    cleaning_ = std::make_unique<LogCleaning>(*offer.plan, std::move(options));
    counted_ = {};
    step();
  }

  void step() {
    auto step = cleaning_->step(options_.step_bytes);
    count();
    if (!step) return failed(step.error());
    if (!step->swap) return go_on(step->bytes, step->done);
    const auto worker = options_.disk_worker();
    if (!worker) return failed({Errc::log_offline, "the disk worker is away"});
    self_->request(worker, disk_timeout, ReplaceSegments{cleaning_->plan().partition, std::move(*step->swap)})
        .then([this, bytes = step->bytes, done = step->done](const Done&) { go_on(bytes, done); },
              [this](caf::error& error) { failed(from_caf_error(error)); });
  }

  void go_on(std::size_t bytes, bool done) {
    const auto pause = static_cast<Millis>(bytes * 1000 / std::max<std::size_t>(1, options_.bytes_per_second));
    if (!done) return wake(CleanerWakeup::Kind::step, pause);
    options_.counts->rounds.fetch_add(1, std::memory_order_relaxed);
    const auto& totals = cleaning_->totals();
    log::info("log compacted",
              {log::kv("partition", cleaning_->plan().partition), log::kv("records_before", totals.records_before),
               log::kv("records_after", totals.records_after), log::kv("bytes_read", totals.bytes_read),
               log::kv("bytes_written", totals.bytes_written)});
    cleaning_.reset();
    wake(CleanerWakeup::Kind::look, pause);  // there may be more
  }

  void failed(const Error& error) {
    const auto id = cleaning_->plan().partition;
    cleaning_.reset();
    look_later();
    if (error.code == Errc::stale_log_view || error.code == Errc::log_offline ||
        error.code == Errc::unknown_topic_or_partition)
      return;  // the log went on meanwhile, or away
    options_.counts->failures.fetch_add(1, std::memory_order_relaxed);
    failed_[id] = now_of(*self_);
    log::warn("log not compacted", {log::kv("partition", id), log::kv("error", error)});
    if (error.code != Errc::corrupt_message || !options_.partition_manager) return;
    if (const auto manager = options_.partition_manager()) self_->send(manager, LogRotten{id, error});
  }

  void count() {
    const auto& now = cleaning_->totals();
    auto& counts = *options_.counts;
    counts.bytes_read.fetch_add(now.bytes_read - counted_.bytes_read, std::memory_order_relaxed);
    counts.bytes_written.fetch_add(now.bytes_written - counted_.bytes_written, std::memory_order_relaxed);
    counts.records_removed.fetch_add(
        (now.records_before - now.records_after) - (counted_.records_before - counted_.records_after),
        std::memory_order_relaxed);
    counted_ = now;
  }

  Self* self_ = nullptr;
  LogCleanerOptions options_;
  ActorRowPtr row_;
  storage::SteadyWallClock wall_;
  std::optional<TimestampMs> trusted_;
  std::unique_ptr<LogCleaning> cleaning_;
  LogCleaning::Totals counted_;
  std::map<TopicIdPartition, MonotonicMs> failed_;
};

caf::behavior log_cleaner(LogCleanerState::Self* self, LogCleanerOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_log_cleaner(caf::actor_system& system, SpawnMode mode, LogCleanerOptions options, ActorRowPtr row) {
  if (mode == SpawnMode::detached) return system.spawn<caf::detached>(log_cleaner, std::move(options), std::move(row));
  return system.spawn(log_cleaner, std::move(options), std::move(row));
}

}  // namespace troupe::actors
