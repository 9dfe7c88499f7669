#include "http/rest/consumer_instance.hpp"

#include <algorithm>
#include <utility>

#include "http/rest/record_v2.hpp"

namespace troupe::http {
namespace {

using consumer::RestAnswer;
using consumer::RestInstance;

constexpr Millis group_request_ms = 10'000;
/// Of an answer in all, with one record that is larger than was asked for: what fits through a link.
constexpr std::size_t page_bytes_max = (std::size_t{16} << 20) - 64;
/// Another member of its name is in the way: that often it is made to go.
constexpr int reclaims_max = 3;
constexpr std::size_t hurried_max = 16;

Error not_here() { return {Errc::not_coordinator, "the instance is not on this node (any more): nothing was done"}; }

}  // namespace

/// Events of one consumer, with its number: the one before may still say something.
class ConsumerInstance::Ear final : public ConsumerListener {
 public:
  Ear(std::weak_ptr<ConsumerInstance> instance, std::uint64_t run) : instance_(std::move(instance)), run_(run) {}

  void on_event(ConsumerEvent event) override {
    const auto instance = instance_.lock();
    if (!instance) return;
    instance->post(
        [run = run_, event = std::move(event)](ConsumerInstance& self) mutable { self.on_event(run, std::move(event)); });
  }

 private:
  const std::weak_ptr<ConsumerInstance> instance_;
  const std::uint64_t run_;
};

ConsumerInstance::ConsumerInstance(ConsumerApi& consumers, GroupApi& groups, consumer::RestOptions options,
                                   std::int32_t epoch, std::weak_ptr<Executor> executor)
    : consumers_(consumers),
      groups_(groups),
      options_(options),
      executor_(std::move(executor)),
      epoch_(epoch),
      machine_(std::move(options)),
      saved_(consumer::encode_definition(machine_.definition())) {}

template <class Function>
void ConsumerInstance::post(Function function) {
  // Not held by what is posted: an executor that has ended keeps that.
  if (const auto executor = executor_.lock()) {
    executor->post([weak = weak_from_this(), function = std::move(function)]() mutable {
      if (const auto self = weak.lock()) function(*self);
    });
  }
}

template <class T, class Function>
Reply<T> ConsumerInstance::back(Function function) {
  return Reply<T>{[self = shared_from_this(), function = std::move(function)](Result<T> answer) mutable {
    const auto executor = self->executor_.lock();
    if (!executor) return;
    executor->post([self = std::move(self), function = std::move(function), answer = std::move(answer)]() mutable {
      function(*self, std::move(answer));
    });
  }};
}

void ConsumerInstance::ask(BrokerId from, consumer::RestCall call, Answer answer) {
  post([from, call = std::move(call), answer = std::move(answer)](ConsumerInstance& self) mutable {
    if (self.ended_) return answer(not_here());
    std::visit([&](auto& one) { self.work_on(from, std::move(one), std::move(answer)); }, call);
  });
}

// --- what it reads ----------------------------------------------------------------------------------------------------------------

void ConsumerInstance::take_over(consumer::RestReading reading) {
  post([reading = std::move(reading)](ConsumerInstance& self) {
    Effects effects;
    // It was good where it came from.
    if (const auto begun = self.machine_.take_over(reading, effects); !begun) return self.end_here({});
    self.saved_ = consumer::encode_definition(self.machine_.definition());
    self.perform(std::move(effects));
  });
}

void ConsumerInstance::work_on(BrokerId /*from*/, consumer::RestSubscribe call, Answer answer) {
  change({[this, call = std::move(call)](Effects& effects) -> Status {
            if (!call.topics.empty() || !call.pattern.empty()) return machine_.subscribe(call.topics, call.pattern, effects);
            machine_.unsubscribe(effects);
            return ok();
          },
          std::move(answer)});
}

void ConsumerInstance::work_on(BrokerId /*from*/, consumer::RestAssign call, Answer answer) {
  change({[this, call = std::move(call)](Effects& effects) { return machine_.assign(call.partitions, effects); },
          std::move(answer)});
}

void ConsumerInstance::change(Change change) {
  if (saving_) return changes_.push_back(std::move(change));
  Effects effects;
  const auto done = change.work(effects);
  perform(std::move(effects));
  if (!done) {
    change.answer(done.error());
  } else {
    save(std::move(change.answer));
  }
  serve();
}

void ConsumerInstance::save(Answer answer) {
  auto definition = consumer::encode_definition(machine_.definition());
  if (definition == saved_) return answer(RestAnswer{});
  saving_ = true;
  auto request =
      group::InstanceRequest{group::InstanceRequest::Kind::save, options_.group, options_.name, epoch_, definition};
  groups_.instance(
      std::move(request), group_request_ms,
      back<group::InstanceEntry>([definition = std::move(definition), answer = std::move(answer)](
                                     ConsumerInstance& self, const Result<group::InstanceEntry>& saved) mutable {
        self.saving_ = false;
        const auto code = saved ? Errc{} : saved.error().code;
        if (saved) {
          self.saved_ = std::move(definition);
          answer(RestAnswer{});
        } else if (code == Errc::fenced_instance_id || code == Errc::not_found) {
          self.end_here({});
          answer(not_here());
        } else {
          answer(saved.error());
        }
        while (!self.saving_ && !self.changes_.empty()) {
          auto next = std::move(self.changes_.front());
          self.changes_.pop_front();
          if (self.ended_) {
            next.answer(not_here());
          } else {
            self.change(std::move(next));
          }
        }
      }));
}

void ConsumerInstance::work_on(BrokerId, const consumer::RestSubscription&, Answer answer) {
  answer(RestAnswer{consumer::RestTopics{machine_.subscription()}});
}

void ConsumerInstance::work_on(BrokerId, const consumer::RestAssignment&, Answer answer) {
  answer(RestAnswer{consumer::RestPartitions{machine_.assignment()}});
}

void ConsumerInstance::work_on(BrokerId, const consumer::RestTouch&, Answer answer) { answer(RestAnswer{}); }

void ConsumerInstance::work_on(BrokerId, const consumer::RestRemove&, Answer answer) {
  groups_.instance({group::InstanceRequest::Kind::remove, options_.group, options_.name, epoch_, {}}, group_request_ms,
                   back<group::InstanceEntry>([answer = std::move(answer)](
                                                  ConsumerInstance& self, const Result<group::InstanceEntry>& gone) mutable {
                     const auto code = gone ? Errc{} : gone.error().code;
                     if (self.ended_ || code == Errc::fenced_instance_id || code == Errc::not_found) {
                       self.end_here({});
                       return answer(not_here());
                     }
                     if (!gone) return answer(gone.error());
                     self.end_here(std::move(answer));
                   }));
}

void ConsumerInstance::drop() {
  post([](ConsumerInstance& self) { self.end_here({}); });
}

void ConsumerInstance::abandon() {
  ended_ = true;
  // What waits holds the calls, which hold their threads, which hold this.
  reads_.clear();
  changes_.clear();
  consumer_.reset();
}

void ConsumerInstance::end_here(Answer left) {
  if (ended_.exchange(true)) return;
  Effects effects;
  machine_.close(effects);
  for (const auto& [id, next] : effects.consumed) {
    if (consumer_) consumer_->consumed(id, next);
  }
  if (consumer_ && !effects.released.empty()) consumer_->released(std::move(effects.released));
  for (auto& read : std::exchange(reads_, {})) read.answer(not_here());
  reading_ = 0;
  const auto consumer = std::exchange(consumer_, nullptr);
  if (!consumer) {
    if (left) left(RestAnswer{});
    return;
  }
  if (!left) return;
  // The next one of its name is to find no member of it.
  consumer->close(
      Reply<std::monostate>{[left = std::move(left)](const Result<std::monostate>&) mutable { left(RestAnswer{}); }});
}

// --- the consumer -----------------------------------------------------------------------------------------------------------------

void ConsumerInstance::perform(Effects effects, const std::shared_ptr<Gather>& gather) {
  if (consumer_) {
    for (const auto& [id, next] : effects.consumed) consumer_->consumed(id, next);
    if (!effects.commit.empty()) consumer_->commit(std::move(effects.commit), {});
    if (!effects.released.empty()) consumer_->released(std::move(effects.released));
    if (effects.credit_bytes > 0) consumer_->credit({0, effects.credit_bytes});
    if (effects.change) consumer_->change(*std::move(effects.change));
    if (gather) gather->open += effects.seeks.size();
    for (const auto& [id, target] : effects.seeks) {
      consumer_->seek(
          id, target,
          back<Offset>([run = machine_.run(), id = id, gather](ConsumerInstance& self, const Result<Offset>& at) {
            Effects more;
            self.machine_.on_sought(run, id, at, more);
            self.perform(std::move(more));
            self.serve();
            if (!gather) return;
            if (!at) gather->status = at.error();
            if (--gather->open > 0) return;
            if (!gather->status) return gather->answer(gather->status.error());
            gather->answer(RestAnswer{});
          }));
    }
    if (effects.end) {
      // It was `run() - 1`, or the one before when the next one waits for it already: the machine knows which.
      std::exchange(consumer_, nullptr)->close({});
    }
  }
  if (effects.open) {
    consumer_ = consumers_.open(*std::move(effects.open), std::make_shared<Ear>(weak_from_this(), machine_.run()));
  }
}

void ConsumerInstance::on_event(std::uint64_t run, ConsumerEvent event) {
  if (ended_) return;
  Effects effects;
  machine_.on_event(run, std::move(event), effects);
  perform(std::move(effects));
  reclaim();
  serve();
}

void ConsumerInstance::reclaim() {
  const auto& failure = machine_.failure();
  if (reclaiming_ || !failure || failure->code != Errc::unreleased_instance_id || reclaims_ >= reclaims_max) return;
  reclaiming_ = true;
  ++reclaims_;
  groups_.instance({group::InstanceRequest::Kind::claim, options_.group, options_.name, epoch_, {}}, group_request_ms,
                   back<group::InstanceEntry>([](ConsumerInstance& self, const Result<group::InstanceEntry>& claimed) {
                     self.reclaiming_ = false;
                     if (self.ended_) return;
                     if (claimed && claimed->epoch != self.epoch_ + 1) return self.end_here({});
                     if (claimed) {
                       self.epoch_ = claimed->epoch;
                       Effects effects;
                       const auto reading = self.machine_.definition().reading;
                       (void)self.machine_.subscribe(reading.topics, reading.pattern, effects);
                       self.perform(std::move(effects));
                     }
                     self.serve();
                   }));
}

// --- reads ------------------------------------------------------------------------------------------------------------------------

void ConsumerInstance::work_on(BrokerId from, const consumer::RestRead& call, Answer answer) {
  Effects effects;
  machine_.begin_read(effects);
  perform(std::move(effects));
  const auto bytes_max = static_cast<std::size_t>(std::min<std::uint64_t>(call.bytes_max, page_bytes_max));
  const bool hurry = call.hurry || std::erase(hurried_, call.id) > 0;
  reads_.push_back({call.id, from, bytes_max, hurry, std::move(answer)});
  reading_ = reads_.size();
  serve();
}

void ConsumerInstance::work_on(BrokerId from, const consumer::RestHurry& call, Answer answer) {
  bool found = false;
  for (auto& read : reads_) {
    if (read.id != call.id || read.from != from) continue;
    read.hurry = found = true;
  }
  // It may be behind this one, on a link that was cut in between.
  if (!found) {
    hurried_.push_back(call.id);
    if (hurried_.size() > hurried_max) hurried_.pop_front();
  }
  answer(RestAnswer{});
  serve();
}

void ConsumerInstance::on_cut(BrokerId node) {
  post([node](ConsumerInstance& self) {
    std::erase_if(self.reads_, [&](const Read& read) { return read.from == node; });
    self.reading_ = self.reads_.size();
    if (self.told_ == node) self.machine_.answer_lost();
    self.serve();
  });
}

void ConsumerInstance::serve() {
  if (reclaiming_ || ended_) return;
  bool first = true;
  for (auto at = reads_.begin(); at != reads_.end();) {
    // Those behind the first only when their time is over.
    auto answer = first || at->hurry ? answer_for(*at) : std::nullopt;
    if (!answer) {
      first = false;
      ++at;
      continue;
    }
    auto reply = std::move(at->answer);
    at = reads_.erase(at);
    reading_ = reads_.size();
    reply(*std::move(answer));
  }
}

Error ConsumerInstance::refusal(BrokerId to, const Error& error) const {
  // A node that stops has stopped its consumers: the one that asks can go on with it.
  const bool stopped = machine_.failure() && machine_.failure()->code == Errc::coordinator_not_available;
  return stopped && to != nobody ? not_here() : error;
}

std::optional<Result<RestAnswer>> ConsumerInstance::answer_for(const Read& read) {
  if (!read.hurry && !machine_.has_enough()) return std::nullopt;
  std::string page = "[";
  Effects effects;
  const auto shown = machine_.show_records(
      [&](const std::string& topic, PartitionId partition, const record::RecordView& record) {
        if (page.size() > 1 && page.size() >= read.bytes_max) return RestInstance::Shown::full;
        const auto before = page.size();
        if (!append_record_v2(page, topic, partition, record, options_)) return RestInstance::Shown::not_in_format;
        // One record in any case, however large it is.
        const bool fits = page.size() <= read.bytes_max || (before == 1 && page.size() <= page_bytes_max);
        if (fits) return RestInstance::Shown::yes;
        page.resize(before);
        return before > 1 ? RestInstance::Shown::full : RestInstance::Shown::too_large;
      },
      effects);
  perform(std::move(effects));
  if (!shown) {
    return Result<RestAnswer>{refusal(read.from, shown.error())};
  }
  if (*shown == 0 && !read.hurry) return std::nullopt;
  if (*shown > 0) told_ = read.from;
  page += ']';
  return Result<RestAnswer>{consumer::RestPage{std::move(page)}};
}

// --- positions --------------------------------------------------------------------------------------------------------------------

void ConsumerInstance::work_on(BrokerId from, consumer::RestCommit call, Answer answer) {
  auto positions = machine_.to_commit(std::move(call.positions));
  if (!positions) return answer(refusal(from, positions.error()));
  if (positions->empty()) return answer(RestAnswer{std::vector<CommittedPosition>{}});
  if (!consumer_) return answer(Error{Errc::coordinator_not_available, "the consumer begins: nothing was done, retry"});
  consumer_->commit(
      *std::move(positions),
      back<std::vector<CommittedPosition>>(
          [answer = std::move(answer)](ConsumerInstance& self, Result<std::vector<CommittedPosition>> done) mutable {
            if (!done) return answer(done.error());
            Effects effects;
            self.machine_.on_committed(*done, effects);
            self.perform(std::move(effects));
            answer(RestAnswer{*std::move(done)});
          }));
}

void ConsumerInstance::work_on(BrokerId from, const consumer::RestSeek& call, Answer answer) {
  Effects effects;
  const auto done = machine_.seek(call.targets, effects);
  if (!done) return answer(refusal(from, done.error()));
  if (effects.seeks.empty() || !consumer_) {
    perform(std::move(effects));
    return answer(RestAnswer{});
  }
  const auto gather = std::make_shared<Gather>();
  gather->answer = std::move(answer);
  perform(std::move(effects), gather);
}

}  // namespace troupe::http
