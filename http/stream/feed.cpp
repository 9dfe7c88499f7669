#include "http/stream/feed.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace troupe::http {

using consumer::Room;
using consumer::Step;

Feed::Feed(std::shared_ptr<FanoutHub> hub, consumer::Subscription subscription, RenderKind kind,
           const std::vector<std::string>& topics, std::function<void()> on_ready, MonotonicMs now)
    : hub_(std::move(hub)), subscription_(std::move(subscription)), kind_(kind), on_ready_(std::move(on_ready)), now_(now) {
  std::size_t index = 0;
  for (std::size_t topic = 0; topic < subscription_.options().topics.size(); ++topic) {
    const auto count = subscription_.options().topics[topic].partitions.size();
    for (std::size_t i = 0; i < count; ++i) hub_->open(subscription_.partitions()[index++], topics[topic], now);
  }
}

void Feed::close(MonotonicMs now) {
  if (!on_ready_) return;
  on_ready_ = nullptr;
  for (const auto& id : subscription_.partitions()) hub_->close(id, now);
}

void Feed::tail_moved(std::size_t index, Offset end) {
  subscription_.high_watermark(index, end);
  subscription_.tail_moved(index);
  ready();
}

void Feed::tick(MonotonicMs now) {
  // While its socket is busy nobody waits for the tail, and nobody is told that it moves: how far behind it is has to be asked.
  if (subscription_.options().slow.policy == consumer::SlowPolicy::disconnect) {
    std::size_t index = 0;
    for (const auto& id : subscription_.partitions()) {
      if (const auto tail = hub_->tail(id)) subscription_.high_watermark(index, tail->high_watermark);
      ++index;
    }
  }
  subscription_.tick(now);
}

std::size_t Feed::pull(MonotonicMs now, Room room, FeedSink& sink) {
  std::size_t used = 0;
  now_ = now;
  const auto phase = subscription_.phase();
  while (true) {
    // Until every start is known nothing is given, and no phase is over: the first that is found must not keep the others waiting.
    const bool other_phase = subscription_.resolved() && subscription_.phase() != phase;
    if (subscription_.has_notes() || other_phase) return used;
    const Room left{.bytes = room.bytes - std::min(room.bytes, used), .untouched = room.untouched && used == 0};
    if (auto text = subscription_.take_held(left, now)) {
      used += text->size();
      sink.held(std::move(*text));
      continue;
    }
    const auto step = subscription_.next(left);
    if (step.kind == Step::Kind::idle) {
      arrived_.reset();
      return used;
    }
    if (step.kind == Step::Kind::find) {
      find(step);
    } else {
      used += read(step, now, left, sink);
    }
  }
}

std::size_t Feed::read(const Step& step, MonotonicMs now, Room room, FeedSink& sink) {
  const auto& id = subscription_.partitions()[step.partition];
  std::shared_ptr<SharedBatch> batch;
  if (arrived_ && arrived_->index == step.partition && (arrived_->from == step.from || arrived_->batches)) {
    if (!arrived_->batches) {
      subscription_.failed(step.partition, std::exchange(arrived_, std::nullopt)->batches.error(), now);
      return 0;
    }
    if (arrived_->batches->empty() && arrived_->from == step.from) {
      arrived_.reset();
      const auto tail = hub_->tail(id);
      if (!tail || tail->high_watermark <= step.from) {
        subscription_.at_tail(step.partition);
        hub_->wait(id, weak_from_this(), step.partition);
        return 0;
      }
      // The broker said that there is nothing yet, and the tail says otherwise: records came meanwhile, and it brought them. If not, one
      // of the two is late: ask again in a while.
      batch = hub_->look(id, step.from).batch;
      if (!batch) {
        subscription_.failed(step.partition, {Errc::leader_not_available, "the log's end is not there yet"}, now);
        return 0;
      }
    } else {
      const auto& batches = *arrived_->batches;
      const auto behind = std::ranges::upper_bound(batches, step.from, {}, [](const auto& one) { return one->run().from; });
      if (behind != batches.begin() && (*std::prev(behind))->run().next > step.from) batch = *std::prev(behind);
    }
  }
  if (!batch) {
    auto looked = hub_->look(id, step.from);
    switch (looked.what) {
      case FanoutHub::Look::found: batch = std::move(looked.batch); break;
      case FanoutHub::Look::at_tail:
        subscription_.at_tail(step.partition);
        hub_->wait(id, weak_from_this(), step.partition);
        return 0;
      case FanoutHub::Look::gone: subscription_.failed(step.partition, *looked.error, now); return 0;
      case FanoutHub::Look::missing:
        subscription_.later(step.partition);
        if (fetching_) return 0;
        fetching_ = true;
        hub_->fetch(
            id, step.from, step.up_to,
            [weak = weak_from_this(), index = step.partition, from = step.from](const Result<FanoutHub::Batches>& fetched) {
              const auto self = weak.lock();
              if (!self) return;
              self->fetching_ = false;
              self->arrived_ = Arrived{.index = index, .from = from, .batches = fetched};
              self->subscription_.go_on();
              self->ready();
            });
        return 0;
    }
  }
  if (subscription_.scans(step.partition)) {
    subscription_.scan(step.partition, batch->run());
    return 0;
  }
  const auto rendering = batch->render(kind_);
  ranges_.clear();
  const auto bytes = subscription_.offer(
      step.partition, {.run = &batch->run(), .text = rendering->text, .starts = rendering->starts}, room, now, ranges_);
  for (const auto& range : ranges_) sink.records(*batch, rendering, range.begin, range.end);
  return bytes;
}

void Feed::find(const Step& step) {
  OffsetSpec spec;
  if (step.spec == Step::Spec::earliest) spec.kind = OffsetSpec::Kind::earliest;
  if (step.spec == Step::Spec::time) spec = {.kind = OffsetSpec::Kind::timestamp, .timestamp = step.time};
  hub_->find(subscription_.partitions()[step.partition], spec, step.of_leader,
             [weak = weak_from_this(), index = step.partition](auto answer) {
               const auto self = weak.lock();
               if (!self) return;
               if (answer) {
                 self->subscription_.found(index,
                                           {.offset = answer->offset,
                                            .log_start_offset = answer->log_start_offset,
                                            .high_watermark = answer->high_watermark,
                                            .leader_epoch = answer->leader_epoch},
                                           self->now_);
               } else {
                 self->subscription_.failed(index, answer.error(), self->now_);
               }
               // A topic of thousands of partitions is looked at once all have answered, not after each. A scan has work at once.
               const auto& topics = self->subscription_.options().topics;
               const bool scans = std::ranges::any_of(
                   topics, [](const auto& one) { return one.from.kind == consumer::StartFrom::Kind::last; });
               if (answer && !scans && !self->subscription_.resolved() && !self->subscription_.has_notes()) return;
               self->ready();
             });
}

}  // namespace troupe::http
