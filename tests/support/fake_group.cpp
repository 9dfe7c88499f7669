#include "tests/support/fake_group.hpp"

#include "base/assert.hpp"

namespace troupe::test {

class FakeGroups::Listening final : public GroupListening {
 public:
  Listening(FakeGroups& groups, group::MemberName member, std::uint64_t number)
      : groups_(groups), member_(std::move(member)), number_(number) {}
  ~Listening() override {
    const std::lock_guard lock(groups_.mutex_);
    const auto found = groups_.listeners_.find(member_);
    if (found == groups_.listeners_.end()) return;
    found->second.erase(number_);
    if (found->second.empty()) groups_.listeners_.erase(found);
  }

 private:
  FakeGroups& groups_;
  const group::MemberName member_;
  const std::uint64_t number_;
};

FakeGroups::FakeGroups(Image image, group::GroupCoordinator::Options options)
    : image_of_(std::move(image)), options_(options), image_(image_of_()) {
  coordinator_ = std::make_unique<group::GroupCoordinator>(options_, image_);
  group::Turn turn;
  coordinator_->begin(now_, turn);
}

void FakeGroups::take(group::Turn turn, News& news) {
  for (const auto& record : turn.records) log_.push_back(group::encode(record));
  for (const auto& member : turn.nudged) {
    const auto found = listeners_.find(member);
    if (found == listeners_.end()) continue;
    for (const auto& [number, on_news] : found->second) news.push_back(on_news);
  }
  for (auto& delivery : turn.delivered) {
    const auto found = parked_.find(delivery.call);
    if (found == parked_.end()) continue;
    news.push_back([take = std::move(found->second), answer = std::move(delivery.answer)] { take(answer); });
    parked_.erase(found);
  }
}

void FakeGroups::follow_image(News& news) {
  const auto next = image_of_();
  if (next == image_) return;
  metadata::ImageDelta delta{image_, next, {}, {}, {}};
  next->for_each_topic([&](const metadata::TopicPtr& topic) {
    const auto before = image_->find_topic(topic->id);
    if (before == nullptr) delta.created.push_back(topic);
    if (before != nullptr && *before != *topic) delta.changed.push_back(topic);
  });
  image_->for_each_topic([&](const metadata::TopicPtr& topic) {
    if (next->find_topic(topic->id) == nullptr) delta.deleted.push_back(topic);
  });
  image_ = next;
  group::Turn turn;
  coordinator_->update(delta, now_, turn);
  take(std::move(turn), news);
}

template <class T, class Handler>
void FakeGroups::answer(Reply<T>& reply, Handler handler) {
  News news;
  Result<T> result = Error{Errc::unknown_error, ""};
  {
    const std::lock_guard lock(mutex_);
    if (away_) {
      result = Error{*away_, "the fake coordinator is away"};
    } else {
      follow_image(news);
      group::Turn turn;
      result = handler(turn);
      take(std::move(turn), news);
    }
  }
  reply(std::move(result));
  for (const auto& tell : news) tell();
}

template <class T, class Handler>
void FakeGroups::answer_later(Reply<T> reply, Handler handler) {
  News news;
  const auto shared = std::make_shared<Reply<T>>(std::move(reply));
  const auto give = [shared](Result<group::ClassicAnswer> answer) {
    if (!answer) return (*shared)(std::move(answer).error());
    (*shared)(std::get<T>(*std::move(answer)));
  };
  {
    const std::lock_guard lock(mutex_);
    if (away_) {
      news.push_back([give, code = *away_] { give(Error{code, "the fake coordinator is away"}); });
    } else {
      follow_image(news);
      group::Turn turn;
      parked_.emplace(++last_parked_, give);
      handler(last_parked_, turn);
      take(std::move(turn), news);
    }
  }
  for (const auto& tell : news) tell();
}

void FakeGroups::advance(Millis time) {
  News news;
  {
    const std::lock_guard lock(mutex_);
    now_.monotonic = now_.monotonic + time;
    now_.wall = now_.wall + time;
    if (away_) return;
    follow_image(news);
    group::Turn turn;
    coordinator_->on_deadline(now_, turn);
    take(std::move(turn), news);
  }
  for (const auto& tell : news) tell();
}

void FakeGroups::go_away(Errc code) {
  decltype(parked_) parked;
  {
    const std::lock_guard lock(mutex_);
    away_ = code;
    parked.swap(parked_);
  }
  for (const auto& [token, give] : parked) give(Error{code, "the fake coordinator is away"});
}

void FakeGroups::come_back() {
  const std::lock_guard lock(mutex_);
  away_.reset();
  coordinator_ = std::make_unique<group::GroupCoordinator>(options_, image_);
  for (const auto& record : log_) {
    const auto value = record.value ? std::optional<ByteView>{*record.value} : std::nullopt;
    const auto decoded = group::decode(record.key, value);
    TROUPE_ASSERT(decoded && *decoded);
    coordinator_->replay(**decoded);
  }
  group::Turn turn;
  coordinator_->begin(now_, turn);
  for (const auto& record : turn.records) log_.push_back(group::encode(record));
}

std::size_t FakeGroups::heartbeats() const {
  const std::lock_guard lock(mutex_);
  return heartbeats_;
}

std::size_t FakeGroups::commits() const {
  const std::lock_guard lock(mutex_);
  return commits_;
}

std::optional<Offset> FakeGroups::committed(const std::string& group, const std::string& topic,
                                            std::int32_t partition) const {
  const std::lock_guard lock(mutex_);
  const auto found = coordinator_->offsets({group, {}, std::vector<group::GroupPartition>{{topic, PartitionId{partition}}}});
  if (!found || found->empty() || !found->front().second) return std::nullopt;
  return found->front().second->offset;
}

std::size_t FakeGroups::members(const std::string& group) const {
  const std::lock_guard lock(mutex_);
  const auto found = coordinator_->describe(group);
  return found ? found->members.size() : 0;
}

void FakeGroups::heartbeat(group::HeartbeatRequest request, Millis /*timeout_ms*/, Reply<group::HeartbeatAnswer> reply) {
  answer(reply, [&](group::Turn& turn) {
    ++heartbeats_;
    return coordinator_->heartbeat(request, now_, turn);
  });
}

void FakeGroups::commit(group::CommitRequest request, Millis /*timeout_ms*/, Reply<std::vector<Status>> reply) {
  answer(reply, [&](group::Turn& turn) {
    ++commits_;
    return coordinator_->commit(request, now_, turn);
  });
}

void FakeGroups::offsets(group::OffsetsRequest request, Millis /*timeout_ms*/, Reply<std::vector<group::Position>> reply) {
  answer(reply, [&](group::Turn&) { return coordinator_->offsets(request); });
}

void FakeGroups::reset(group::ResetRequest request, Millis /*timeout_ms*/, Reply<std::vector<Status>> reply) {
  answer(reply, [&](group::Turn& turn) { return coordinator_->reset(request, now_, turn); });
}

void FakeGroups::pause(group::PauseRequest request, Millis /*timeout_ms*/, Reply<Nothing> reply) {
  answer(reply, [&](group::Turn& turn) -> Result<Nothing> {
    TROUPE_TRY(coordinator_->pause(request, turn));
    return Nothing{};
  });
}

void FakeGroups::delete_group(std::string group, Millis /*timeout_ms*/, Reply<Nothing> reply) {
  answer(reply, [&](group::Turn& turn) -> Result<Nothing> {
    TROUPE_TRY(coordinator_->delete_group(group, turn));
    return Nothing{};
  });
}

void FakeGroups::delete_offsets(std::string group, std::vector<group::GroupPartition> partitions, Millis /*timeout_ms*/,
                                Reply<std::vector<Status>> reply) {
  answer(reply, [&](group::Turn& turn) { return coordinator_->delete_offsets(group, partitions, turn); });
}

void FakeGroups::describe(std::string group, Millis /*timeout_ms*/, Reply<group::GroupDescription> reply) {
  answer(reply, [&](group::Turn&) { return coordinator_->describe(group); });
}

void FakeGroups::instance(group::InstanceRequest request, Millis /*timeout_ms*/, Reply<group::InstanceEntry> reply) {
  instance_of(BrokerId{1}, std::move(request), std::move(reply));
}

void FakeGroups::instance_of(BrokerId from, group::InstanceRequest request, Reply<group::InstanceEntry> reply) {
  answer(reply, [&](group::Turn& turn) { return coordinator_->instance(request, from, now_, turn); });
}

void FakeGroups::list(Millis /*timeout_ms*/, Reply<GroupListings> reply) {
  answer(reply, [&](group::Turn&) -> Result<GroupListings> { return GroupListings{coordinator_->list(), {}}; });
}

void FakeGroups::join(group::ClassicJoinRequest request, Millis /*timeout_ms*/, Reply<group::ClassicJoinAnswer> reply) {
  if (request.fresh.is_nil()) request.fresh = Uuid::random();
  answer_later(std::move(reply),
               [&](group::CallToken call, group::Turn& turn) { coordinator_->join(request, call, now_, turn); });
}

void FakeGroups::sync(group::ClassicSyncRequest request, Millis /*timeout_ms*/, Reply<group::ClassicSyncAnswer> reply) {
  answer_later(std::move(reply),
               [&](group::CallToken call, group::Turn& turn) { coordinator_->sync(request, call, now_, turn); });
}

void FakeGroups::heartbeat(group::ClassicHeartbeatRequest request, Millis /*timeout_ms*/, Reply<Nothing> reply) {
  answer(reply, [&](group::Turn& turn) -> Result<Nothing> {
    TROUPE_TRY(coordinator_->heartbeat(request, now_, turn));
    return Nothing{};
  });
}

void FakeGroups::leave(group::ClassicLeaveRequest request, Millis /*timeout_ms*/, Reply<std::vector<Status>> reply) {
  answer(reply, [&](group::Turn& turn) -> Result<std::vector<Status>> { return coordinator_->leave(request, now_, turn); });
}

std::unique_ptr<GroupListening> FakeGroups::listen(std::string group, std::string member, std::function<void()> on_news) {
  const std::lock_guard lock(mutex_);
  group::MemberName name{std::move(group), std::move(member)};
  const auto number = next_listener_++;
  listeners_[name].emplace(number, std::move(on_news));
  return std::make_unique<Listening>(*this, std::move(name), number);
}

}  // namespace troupe::test
