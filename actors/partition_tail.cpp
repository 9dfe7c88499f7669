#include "actors/partition_tail.hpp"

#include <atomic>
#include <map>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"

namespace troupe::actors {
namespace {

class PartitionTailState {
 public:
  using Self = caf::stateful_actor<PartitionTailState>;
  static constexpr const char* name = "partition_tail";

  caf::behavior make_behavior(Self* self, PartitionTailOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    self_->set_down_handler([this](caf::down_msg& down) { leader_down(down); });
    row_->set_state(ActorState::running);
    return {
        [this](const AttachListener& request) { handle([&] { add(request); }); },
        [this](const DetachListener& request) { handle([&] { listeners_.erase(request.number); }); },
        [this](const TailAttached& attached) { handle([&] { on_attached(attached); }); },
        [this](const TailCommitted& committed) { handle([&] { on_committed(committed); }); },
        [this](const TailEnded&) { handle([&] { source_ended(); }); },
        [this](const TailSourceChanged&) { handle([&] { look_again(); }); },
    };
  }

 private:
  struct Listener {
    std::shared_ptr<ListenerTicket> ticket;
    std::shared_ptr<std::atomic<std::size_t>> held_bytes = std::make_shared<std::atomic<std::size_t>>(0);
  };

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
    work();
  }

  void add(const AttachListener& request) {
    const auto [at, added] = listeners_.emplace(request.number, Listener{request.ticket});
    if (attached_) return tell_attached(at->second);
    if (source_) return;  // on its way
    const auto source = options_.leaders->tail_source(options_.partition);
    if (!source) return end_all({Errc::leader_not_available, "the partition has no leader now"});
    listen_at(source);
  }

  void listen_at(const caf::actor& source) {
    source_ = source;
    self_->monitor(source_);
    self_->send(source_, AttachTail{caf::actor_cast<caf::actor>(self_)});
  }

  /// Its listeners notice nothing: what the new source has said before does not come again, and what it is behind comes when it comes.
  void look_again() {
    if (!source_) return;
    const auto source = options_.leaders->tail_source(options_.partition);
    if (!source || source == source_) return;
    self_->demonitor(source_);
    self_->send(source_, DetachTail{});
    listen_at(source);
  }

  void source_ended() {
    if (self_->current_sender() != source_) return;
    self_->demonitor(source_);
    source_ = nullptr;
    attached_ = false;
    end_all({Errc::leader_not_available, "committed records of the partition were lost: attach again"});
  }

  void on_attached(const TailAttached& attached) {
    if (self_->current_sender() != source_) return;
    if (attached_) return attached_again(attached);
    attached_ = true;
    epoch_ = attached.leader_epoch;
    next_ = attached.high_watermark;
    log_start_ = attached.log_start_offset;
    for (const auto& [number, listener] : listeners_) tell_attached(listener);
  }

  /// Another epoch, or another source. A follower may be behind what was told, a leader only when records were lost.
  void attached_again(const TailAttached& attached) {
    const bool behind = attached.high_watermark < next_;
    if (behind && options_.leaders->follower(options_.partition) != source_) {
      self_->send(source_, DetachTail{});
      return source_ended();
    }
    epoch_ = attached.leader_epoch;
    // What was committed before it was asked, and was not told by the one before.
    if (attached.high_watermark > next_) on_committed({next_, attached.high_watermark, attached.log_start_offset, {}});
  }

  void tell_attached(const Listener& listener) const {
    listener.ticket->tell({.kind = TailEvent::Kind::attached,
                           .partition = options_.partition,
                           .leader_epoch = epoch_,
                           .from = next_,
                           .next_offset = next_,
                           .log_start_offset = log_start_});
  }

  void on_committed(const TailCommitted& committed) {
    if (self_->current_sender() != source_ || !attached_ || committed.next_offset <= next_) return;
    const auto from = next_;
    next_ = committed.next_offset;
    log_start_ = committed.log_start_offset;
    for (const auto& [number, listener] : listeners_) {
      TailEvent event{.kind = TailEvent::Kind::records,
                      .partition = options_.partition,
                      .leader_epoch = epoch_,
                      .from = from,
                      .next_offset = next_,
                      .log_start_offset = log_start_};
      give_batches(event, listener, committed, from);
      listener.ticket->tell(std::move(event));
    }
  }

  /// As long as the listener's budget lasts, and only if nothing is missing between the last event and these.
  void give_batches(TailEvent& event, const Listener& listener, const TailCommitted& committed, Offset from) const {
    const auto size = committed.batches.size();
    if (size == 0 || committed.from != from) return;
    if (listener.held_bytes->load(std::memory_order_relaxed) + size > options_.listener_bytes_max) return;
    listener.held_bytes->fetch_add(size, std::memory_order_relaxed);
    event.batches = committed.batches;
    event.credit = std::shared_ptr<void>(
        nullptr, [held = listener.held_bytes, size](void*) { held->fetch_sub(size, std::memory_order_relaxed); });
  }

  void leader_down(const caf::down_msg& down) {
    if (!source_ || down.source != source_.address()) return;
    source_ = nullptr;
    attached_ = false;
    end_all({Errc::leader_not_available, "the partition's leader went down: attach again"});
  }

  void end_all(const Error& reason) {
    auto listeners = std::move(listeners_);
    listeners_.clear();
    for (const auto& [number, listener] : listeners) listener.ticket->end(reason);
  }

  Self* self_ = nullptr;
  PartitionTailOptions options_;
  ActorRowPtr row_;
  caf::actor source_;  ///< a leader, the stand-in of one, or a follower on this node
  bool attached_ = false;
  LeaderEpoch epoch_{0};
  Offset next_{0};
  Offset log_start_{0};
  std::map<std::uint64_t, Listener> listeners_;
};

caf::behavior partition_tail(PartitionTailState::Self* self, PartitionTailOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_partition_tail(caf::actor_system& system, PartitionTailOptions options, ActorRowPtr row) {
  return system.spawn(partition_tail, std::move(options), std::move(row));
}

}  // namespace troupe::actors
