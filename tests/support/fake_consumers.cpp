#include "tests/support/fake_consumers.hpp"

#include <atomic>
#include <deque>
#include <map>

#include "core/cluster_api.hpp"
#include "core/consumer/group_reader.hpp"

namespace troupe::test {
namespace {

constexpr Millis request_ms = 10'000;

}  // namespace

class FakeConsumers::Member : public std::enable_shared_from_this<Member> {
 public:
  using Input = std::function<void(consumer::GroupReader&, MonotonicMs, consumer::GroupReaderEffects&)>;

  Member(FakeConsumers& owner, ConsumerOptions options, std::shared_ptr<ConsumerListener> listener)
      : owner_(owner),
        group_(options.group),
        id_(to_string(Uuid::random())),
        reader_(std::move(options), id_, owner.broker_.cluster_api().image()),
        listener_(std::move(listener)) {}

  void start() {
    listening_ = owner_.groups_.listen(group_, id_, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->input([](auto& reader, auto now, auto& fx) { reader.nudge(now, fx); });
    });
    input([](auto& reader, auto now, auto& fx) { reader.start(now, fx); });
  }

  /// One after the other, whoever calls: what an input leads to is done before the next.
  void input(Input one) {
    {
      const std::lock_guard lock(mutex_);
      inputs_.push_back(std::move(one));
      if (std::exchange(busy_, true)) return;
    }
    while (true) {
      Input next;
      {
        const std::lock_guard lock(mutex_);
        if (inputs_.empty()) {
          busy_ = false;
          return;
        }
        next = std::move(inputs_.front());
        inputs_.pop_front();
      }
      consumer::GroupReaderEffects effects;
      reader_.update(owner_.broker_.cluster_api().image());
      next(reader_, owner_.now(), effects);
      perform(std::move(effects));
    }
  }

  std::uint64_t expect_commit(Reply<std::vector<CommittedPosition>> reply) {
    const std::lock_guard lock(mutex_);
    commits_[++last_request_] = std::move(reply);
    return last_request_;
  }
  std::uint64_t expect_seek(Reply<Offset> reply) {
    const std::lock_guard lock(mutex_);
    seeks_[++last_request_] = std::move(reply);
    return last_request_;
  }
  void expect_close(Reply<std::monostate> reply) {
    const std::lock_guard lock(mutex_);
    close_ = std::move(reply);
  }
  bool closed() const { return closed_; }

 private:
  template <class T, class Take>
  Reply<T> into(Take take) {
    return Reply<T>{[weak = weak_from_this(), take](Result<T> answer) {
      const auto self = weak.lock();
      if (!self) return;
      self->input([take, kept = std::make_shared<Result<T>>(std::move(answer))](auto& reader, auto now, auto& fx) {
        take(reader, std::move(*kept), now, fx);
      });
    }};
  }

  void perform(consumer::GroupReaderEffects effects) {
    for (auto& event : effects.events) {
      const bool last = std::holds_alternative<ConsumerClosed>(event);
      if (!closed_) listener_->on_event(std::move(event));
      closed_ = closed_ || last;
    }
    for (auto& answer : effects.committed) taken(commits_, answer.request)(std::move(answer.positions));
    for (auto& answer : effects.sought) taken(seeks_, answer.request)(std::move(answer.position));
    auto& groups = owner_.groups_;
    if (effects.heartbeat) {
      groups.heartbeat(std::move(*effects.heartbeat), request_ms,
                       into<group::HeartbeatAnswer>(
                           [](auto& reader, auto answer, auto now, auto& fx) { reader.on_heartbeat(answer, now, fx); }));
    }
    if (effects.commit) {
      groups.commit(std::move(*effects.commit), request_ms,
                    into<std::vector<Status>>(
                        [](auto& reader, auto answer, auto now, auto& fx) { reader.on_commit(answer, now, fx); }));
    }
    if (effects.fetch_offsets) {
      groups.offsets(std::move(*effects.fetch_offsets), request_ms,
                     into<std::vector<group::Position>>(
                         [](auto& reader, auto answer, auto now, auto& fx) { reader.on_offsets(answer, now, fx); }));
    }
    for (const auto token : effects.unwanted) {
      const auto found = calls_.find(token);
      if (found == calls_.end()) continue;
      const auto call = found->second;
      calls_.erase(found);
      owner_.broker_.cancel(call);
    }
    for (auto& fetch : effects.fetches) {
      calls_[fetch.token] = owner_.broker_.fetch(
          std::move(fetch.request),
          into<FetchResponse>([this, token = fetch.token](auto& reader, auto answer, auto now, auto& fx) {
            calls_.erase(token);
            reader.on_fetched(token, std::move(answer), now, fx);
          }));
    }
    for (auto& find : effects.finds) {
      owner_.broker_.find_offset(find.partition, find.spec,
                                 into<OffsetAnswer>([token = find.token](auto& reader, auto answer, auto now, auto& fx) {
                                   reader.on_found(token, answer, now, fx);
                                 }));
    }
    if (closed_) {
      listening_.reset();
      if (close_) close_(std::monostate{});
    }
  }
  template <class T>
  Reply<T> taken(std::map<std::uint64_t, Reply<T>>& from, std::uint64_t request) {
    const std::lock_guard lock(mutex_);
    auto node = from.extract(request);
    return node.empty() ? Reply<T>{} : std::move(node.mapped());
  }

  FakeConsumers& owner_;
  const std::string group_;
  const std::string id_;
  consumer::GroupReader reader_;
  const std::shared_ptr<ConsumerListener> listener_;
  std::unique_ptr<GroupListening> listening_;
  std::mutex mutex_;
  std::deque<Input> inputs_;
  bool busy_ = false;
  std::atomic<bool> closed_ = false;
  std::uint64_t last_request_ = 0;
  std::map<std::uint64_t, Reply<std::vector<CommittedPosition>>> commits_;
  std::map<std::uint64_t, Reply<Offset>> seeks_;
  Reply<std::monostate> close_;
  std::map<std::uint64_t, CallId> calls_;
};

class FakeConsumers::Handle final : public Consumer {
 public:
  explicit Handle(std::shared_ptr<Member> member) : member_(std::move(member)) {}
  ~Handle() override {
    member_->input([](auto& reader, auto now, auto& fx) { reader.abandon(now, fx); });
  }

  void credit(ConsumerCredit more) override {
    member_->input([more](auto& reader, auto now, auto& fx) { reader.credit(more, now, fx); });
  }
  void consumed(TopicIdPartition partition, Offset next) override {
    member_->input([partition, next](auto& reader, auto, auto&) { reader.consumed(partition, next); });
  }
  void commit(std::vector<std::pair<TopicIdPartition, Offset>> positions,
              Reply<std::vector<CommittedPosition>> reply) override {
    const auto request = member_->expect_commit(std::move(reply));
    member_->input([request, positions](auto& reader, auto now, auto& fx) { reader.commit(request, positions, now, fx); });
  }
  void released(group::PartitionList partitions) override {
    member_->input([partitions](auto& reader, auto now, auto& fx) { reader.released(partitions, now, fx); });
  }
  void pause(group::PartitionList partitions) override {
    member_->input([partitions](auto& reader, auto, auto&) { reader.pause(partitions); });
  }
  void resume(group::PartitionList partitions) override {
    member_->input([partitions](auto& reader, auto now, auto& fx) { reader.resume(partitions, now, fx); });
  }
  void seek(TopicIdPartition partition, SeekTarget target, Reply<Offset> reply) override {
    const auto request = member_->expect_seek(std::move(reply));
    member_->input([request, partition, target](auto& reader, auto now, auto& fx) {
      reader.seek(request, partition, target, now, fx);
    });
  }
  void change(group::MemberProfile profile) override {
    member_->input([profile](auto& reader, auto now, auto& fx) { reader.change(profile, now, fx); });
  }
  void close(Reply<std::monostate> reply) override {
    member_->expect_close(std::move(reply));
    member_->input([](auto& reader, auto now, auto& fx) { reader.close(now, fx); });
  }

 private:
  const std::shared_ptr<Member> member_;
};

FakeConsumers::FakeConsumers(BrokerApi& broker, GroupApi& groups) : broker_(broker), groups_(groups) {}
FakeConsumers::~FakeConsumers() = default;

MonotonicMs FakeConsumers::now() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

void FakeConsumers::advance(Millis time) {
  constexpr Millis step_ms = 50;
  for (Millis left = time; left > 0; left -= step_ms) {
    std::vector<std::shared_ptr<Member>> all;
    {
      const std::lock_guard lock(mutex_);
      now_ = now_ + std::min(left, step_ms);
      std::erase_if(members_, [](const auto& member) { return member->closed(); });
      all = members_;
    }
    for (const auto& member : all) {
      member->input([](auto& reader, auto at, auto& fx) {
        const auto due = reader.next_deadline();
        if (due && *due <= at) reader.on_deadline(at, fx);
      });
    }
  }
}

void FakeConsumers::fail_open(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  open_error_ = std::move(error);
}

std::size_t FakeConsumers::open_count() const {
  const std::lock_guard lock(mutex_);
  std::size_t open = 0;
  for (const auto& member : members_) open += member->closed() ? 0 : 1;
  return open;
}

std::unique_ptr<Consumer> FakeConsumers::open(ConsumerOptions options, std::shared_ptr<ConsumerListener> listener) {
  std::optional<Error> refused;
  const auto member = std::make_shared<Member>(*this, std::move(options), listener);
  {
    const std::lock_guard lock(mutex_);
    refused = open_error_;
    members_.push_back(member);
  }
  auto handle = std::make_unique<Handle>(member);
  if (refused) {
    listener->on_event(ConsumerFailed{*refused});
  } else {
    member->start();
  }
  return handle;
}

}  // namespace troupe::test
