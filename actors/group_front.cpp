#include "actors/group_front.hpp"

#include <caf/send.hpp>

#include "actors/group_messages.hpp"

namespace troupe::actors {
namespace {

/// An answer of this kind, or the error: another node may say anything.
template <class Answer, class Alternative = Answer>
GroupApiCall call_of(group::GroupCall call, Millis timeout_ms, Reply<Answer> reply) {
  Reply<group::GroupAnswer> any{[reply = std::move(reply)](Result<group::GroupAnswer> answer) mutable {
    if (!answer) return reply(std::move(answer).error());
    auto* said = std::get_if<Alternative>(&*answer);
    if (said == nullptr) return reply(Error{Errc::corrupt_message, "the group's coordinator answered something else"});
    if constexpr (std::is_same_v<Answer, Alternative>) {
      reply(std::move(*said));
    } else {
      reply(Answer{});
    }
  }};
  return {std::move(call), timeout_ms, std::move(any)};
}

}  // namespace

// --- listeners

std::uint64_t GroupListeners::add(group::MemberName member, std::function<void()> on_news) {
  const std::lock_guard lock(mutex_);
  const auto number = next_++;
  listeners_[std::move(member)].emplace(number, std::move(on_news));
  return number;
}

void GroupListeners::remove(const group::MemberName& member, std::uint64_t number) {
  std::function<void()> gone;  // what it holds goes after the lock
  const std::lock_guard lock(mutex_);
  const auto found = listeners_.find(member);
  if (found == listeners_.end()) return;
  const auto one = found->second.find(number);
  if (one == found->second.end()) return;
  gone.swap(one->second);
  found->second.erase(one);
  if (found->second.empty()) listeners_.erase(found);
}

void GroupListeners::tell(const std::vector<group::MemberName>& members) const {
  std::vector<std::function<void()>> told;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& member : members) {
      const auto found = listeners_.find(member);
      if (found == listeners_.end()) continue;
      for (const auto& [number, on_news] : found->second) told.push_back(on_news);
    }
  }
  for (const auto& on_news : told) on_news();
}

class GroupFront::Listening final : public GroupListening {
 public:
  Listening(std::shared_ptr<GroupListeners> listeners, group::MemberName member, std::function<void()> on_news)
      : listeners_(std::move(listeners)),
        member_(std::move(member)),
        number_(listeners_->add(member_, std::move(on_news))) {}
  ~Listening() override { listeners_->remove(member_, number_); }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

 private:
  const std::shared_ptr<GroupListeners> listeners_;
  const group::MemberName member_;
  const std::uint64_t number_;
};

std::unique_ptr<GroupListening> GroupFront::listen(std::string group, std::string member, std::function<void()> on_news) {
  return std::make_unique<Listening>(listeners_, group::MemberName{std::move(group), std::move(member)}, std::move(on_news));
}

// --- calls

template <class Call>
void GroupFront::send(Call call) const {
  const auto desk = desk_ ? desk_->get() : caf::actor{};
  if (!desk) {
    return call.reply(Error{Errc::coordinator_not_available, "the node is starting or stopping: nothing was done, retry"});
  }
  caf::anon_send(desk, std::make_shared<Call>(std::move(call)));
}

void GroupFront::heartbeat(group::HeartbeatRequest request, Millis timeout_ms, Reply<group::HeartbeatAnswer> reply) {
  send(call_of(std::move(request), timeout_ms, std::move(reply)));
}
void GroupFront::commit(group::CommitRequest request, Millis timeout_ms, Reply<std::vector<Status>> reply) {
  send(call_of(std::move(request), timeout_ms, std::move(reply)));
}
void GroupFront::offsets(group::OffsetsRequest request, Millis timeout_ms, Reply<std::vector<group::Position>> reply) {
  send(call_of(std::move(request), timeout_ms, std::move(reply)));
}
void GroupFront::reset(group::ResetRequest request, Millis timeout_ms, Reply<std::vector<Status>> reply) {
  send(call_of(std::move(request), timeout_ms, std::move(reply)));
}
void GroupFront::pause(group::PauseRequest request, Millis timeout_ms, Reply<Nothing> reply) {
  send(call_of<Nothing, std::monostate>(std::move(request), timeout_ms, std::move(reply)));
}
void GroupFront::delete_group(std::string group, Millis timeout_ms, Reply<Nothing> reply) {
  send(call_of<Nothing, std::monostate>(group::DeleteGroupRequest{std::move(group)}, timeout_ms, std::move(reply)));
}
void GroupFront::delete_offsets(std::string group, std::vector<group::GroupPartition> partitions, Millis timeout_ms,
                                Reply<std::vector<Status>> reply) {
  send(call_of(group::DeleteOffsetsRequest{std::move(group), std::move(partitions)}, timeout_ms, std::move(reply)));
}
void GroupFront::describe(std::string group, Millis timeout_ms, Reply<group::GroupDescription> reply) {
  send(call_of(group::DescribeRequest{std::move(group)}, timeout_ms, std::move(reply)));
}
void GroupFront::join(group::ClassicJoinRequest request, Millis timeout_ms, Reply<group::ClassicJoinAnswer> reply) {
  if (request.fresh.is_nil()) request.fresh = Uuid::random();
  send(call_of(std::move(request), timeout_ms, std::move(reply)));
}
void GroupFront::sync(group::ClassicSyncRequest request, Millis timeout_ms, Reply<group::ClassicSyncAnswer> reply) {
  send(call_of(std::move(request), timeout_ms, std::move(reply)));
}
void GroupFront::heartbeat(group::ClassicHeartbeatRequest request, Millis timeout_ms, Reply<Nothing> reply) {
  send(call_of<Nothing, std::monostate>(std::move(request), timeout_ms, std::move(reply)));
}
void GroupFront::leave(group::ClassicLeaveRequest request, Millis timeout_ms, Reply<std::vector<Status>> reply) {
  send(call_of(std::move(request), timeout_ms, std::move(reply)));
}
void GroupFront::instance(group::InstanceRequest request, Millis timeout_ms, Reply<group::InstanceEntry> reply) {
  send(call_of(std::move(request), timeout_ms, std::move(reply)));
}
void GroupFront::list(Millis timeout_ms, Reply<GroupListings> reply) { send(ListGroupsCall{timeout_ms, std::move(reply)}); }

}  // namespace troupe::actors
