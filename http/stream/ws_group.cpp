#include <algorithm>
#include <utility>

#include "base/uuid.hpp"
#include "http/json/json_syntax.hpp"
#include "http/stream/group_words.hpp"
#include "http/stream/ws_parts.hpp"
#include "http/stream/ws_session.hpp"

/// Subscriptions as members of groups, and the sessions that they outlive a socket by. docs/consumers.md
namespace troupe::http {
namespace {

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

constexpr std::string_view no_such_sub = "there is no group subscription of this name";

}  // namespace

/// Writes what is pulled as one `records` push.
class WsSession::GroupSink final : public FeedSink {
 public:
  GroupSink(WsSession& session, Group& group, OutMessage& message) : session_(session), group_(group), message_(message) {}

  void records(SharedBatch& batch, const std::shared_ptr<const Rendering>& rendering, std::size_t begin,
               std::size_t end) override {
    if (!std::exchange(open_, true)) message_.append(group_.head);
    message_.append(rendering, rendering->starts[begin], rendering->starts[end] - rendering->starts[begin]);
    auto found = group_.records_out.find(batch.topic());
    if (found == group_.records_out.end()) {
      found =
          group_.records_out.emplace(batch.topic(), session_.env_.counters->records_out(batch.topic(), "ws-group")).first;
    }
    found->second.add(static_cast<double>(end - begin));
  }
  void held(std::string) override {}
  void finish() {
    if (!open_) return;
    message_.drop_last();  // the comma behind the last record
    message_.append("],\"c\":\"");
    message_.append(group_.stream->cursor());
    message_.append("\"}\n");
  }

 private:
  WsSession& session_;
  Group& group_;
  OutMessage& message_;
  bool open_ = false;
};

// --- sessions ---------------------------------------------------------------------------------------------------------------------

void WsSession::run(const std::optional<std::uint64_t>& id, ConnectCommand&& command) {
  if (std::exchange(connected_, true)) return reply_error(id, "bad_request", 400, "connected already");
  session_ = "s-" + to_string(Uuid::random());
  grace_ms_ = command.resume_grace_ms.value_or(resume_grace_ms);
  ping_ms_ = std::min(ping_ms_, command.ping_ms.value_or(ping_ms_));
  if (!command.client.empty()) client_ = std::move(command.client);
  if (!command.session) return reply_connected(id, false);
  if (id) open_ids_.insert(*id);
  env_.sessions->claim(*command.session, [weak = weak_from_this(), post = env_.hub->post(), id](GroupStreams streams) {
    post([weak, id, streams = std::move(streams)]() mutable {
      if (const auto self = weak.lock()) self->on_claimed(id, std::move(streams));
    });
  });
}

void WsSession::on_claimed(std::optional<std::uint64_t> id, GroupStreams streams) {
  if (closed_) return;
  const bool resumed = !streams.empty();
  resumable_ = std::move(streams);
  reply_connected(id, resumed);
  flush_now();
}

void WsSession::reply_connected(const std::optional<std::uint64_t>& id, bool resumed) {
  env_.sessions->live(session_, [weak = weak_from_this(), post = env_.hub->post()](SessionBook::Take take) {
    post([weak, take = std::move(take)] {
      GroupStreams streams;
      if (const auto self = weak.lock()) {
        streams = self->detach_groups();
        self->leave_session(true);
      }
      take(std::move(streams));
    });
  });
  const auto& limits = env_.limits;
  reply_ok(id, "{\"session\":" + quoted(session_) + ",\"node\":" + to_string(env_.broker.cluster().node_id) +
                   ",\"ping_ms\":" + std::to_string(ping_ms_) +
                   ",\"max_frame\":" + std::to_string(limits.frame_in_bytes_max) +
                   ",\"resumed\":" + (resumed ? "true" : "false") + ",\"resume_grace_ms\":" + std::to_string(grace_ms_) +
                   ",\"limits\":{\"subs\":" + std::to_string(limits.subscriptions_max) +
                   ",\"produce_inflight\":" + std::to_string(limits.produce_inflight_max) + "}}");
}

GroupStreams WsSession::detach_groups() {
  GroupStreams streams = std::exchange(resumable_, {});
  for (const auto& [name, group] : groups_) {
    group->stream->detach();
    if (!group->stream->is_over()) streams[name] = group->stream;
  }
  env_.counters->ws_subscriptions.add(-static_cast<double>(groups_.size()));
  groups_.clear();
  return streams;
}

/// The socket is gone, or another one has its session.
void WsSession::leave_session(bool taken_over) {
  const auto session = std::exchange(session_, {});
  if (taken_over) return close(CloseCode::taken_over, "the session goes on with another socket");
  auto streams = detach_groups();
  if (session.empty()) return;
  if (streams.empty() || grace_ms_ == 0) return env_.sessions->forget(session);  // what nobody has leaves its group
  env_.sessions->park(session, std::move(streams), env_.now() + grace_ms_);
}

// --- subscriptions ----------------------------------------------------------------------------------------------------------------

WsSession::Group* WsSession::find_group(const std::string& name) {
  const auto found = groups_.find(name);
  return found == groups_.end() ? nullptr : found->second.get();
}

bool WsSession::remove_group(const std::string& name) {
  const auto found = groups_.find(name);
  if (found == groups_.end()) return false;
  groups_.erase(found);
  env_.counters->ws_subscriptions.add(-1);
  return true;
}

void WsSession::run(const std::optional<std::uint64_t>& id, JoinCommand&& command) {
  if (find(command.sub) != nullptr || find_group(command.sub) != nullptr)
    return reply_error(id, "bad_request", 400, "sub: there is one of this name");
  if (subscriptions() >= env_.limits.subscriptions_max) {
    return reply_error(id, "rate_limited", 42901,
                       "at most " + std::to_string(env_.limits.subscriptions_max) + " subscriptions", true);
  }
  for (const auto& topic : command.definition.topics) {
    if (const auto readable = readable_topic(env_.broker, topic); !readable) return reply_error(id, readable.error());
  }
  const auto wake = [weak = weak_from_this(), post = env_.hub->post()] {
    post([weak] {
      if (const auto self = weak.lock()) self->wants_flush();
    });
  };
  auto group = std::make_shared<Group>();
  group->name = command.sub;
  group->head = "{\"ev\":\"records\",\"sub\":" + quoted(command.sub) + ",\"phase\":\"live\",\"r\":[";
  bool resumed = false;
  if (auto node = resumable_.extract(command.sub); !node.empty() && node.mapped()->definition() == command.definition) {
    resumed = true;
    group->stream = std::move(node.mapped());
    group->stream->resume(wake, command.credit);
  } else {
    auto opened = GroupStream::open(env_.broker.consumer_api(), std::move(command.definition), command.credit,
                                    {client_, transport_->peer_host()});
    if (!opened) return reply_error(id, opened.error());
    group->stream = std::move(*opened);
    group->stream->attach(wake);
  }
  groups_[command.sub] = std::move(group);
  env_.counters->ws_subscriptions.add(1);
  reply_ok(id, "{\"sub\":" + quoted(command.sub) + (resumed ? ",\"state\":\"joined\"" : ",\"state\":\"joining\"") +
                   ",\"resumed\":" + (resumed ? "true" : "false") + "}");
}

bool WsSession::pull_group(Group& group, std::size_t share, MonotonicMs /*now*/, OutMessage& message) {
  for (const auto& event : group.stream->take()) tell(group, event);
  message.append(queued_);
  queued_.clear();
  if (group.stream->is_over()) {
    remove_group(group.name);
    return false;
  }
  GroupSink sink(*this, group, message);
  const auto used = group.stream->pull({.bytes = share, .untouched = true}, sink);
  sink.finish();
  return used > 0;
}

void WsSession::tell(Group& group, const ConsumerEvent& event) {
  const auto words = words_of(*group.stream, event);
  if (words.state.empty()) return;
  std::string text = "{\"ev\":\"sub\",\"sub\":" + quoted(group.name) + ",\"state\":\"" + words.state + "\"";
  if (!words.members.empty()) text += "," + words.members;
  if (!words.error.empty()) text += ",\"err\":" + words.error;
  push(text + "}");
}

// --- what the client has done -----------------------------------------------------------------------------------------------------

void WsSession::run(const std::optional<std::uint64_t>& id, AckCommand&& command) {
  auto* group = find_group(command.sub);
  if (group == nullptr) return reply_error(id, "unknown_sub", 404, no_such_sub);
  auto& stream = *group->stream;
  GroupStream::Positions positions;
  if (command.cursor) {
    auto found = stream.positions_of(*command.cursor);
    if (!found) return reply_error(id, found.error());
    positions = std::move(*found);
  }
  for (const auto& [topic, offsets] : command.done) {
    for (const auto& [partition, offset] : offsets) {
      const auto found = stream.find(topic, partition);
      if (!found) {
        return reply_error(id, {Errc::fenced_member_epoch,
                                "upto: " + topic + "-" + to_string(partition) + " is not this subscription's (any more)"});
      }
      positions.emplace_back(*found, offset + 1);
    }
  }
  if (!id || positions.empty()) {
    if (const auto done = stream.ack(positions); !done) return reply_error(id, done.error());
    return reply_ok(id, "{\"committed\":{}}");
  }
  std::map<TopicIdPartition, std::string> topics;
  for (const auto& [partition, next] : positions) topics[partition] = stream.topic_of(partition);
  const auto sent = stream.commit(
      positions, Reply<std::vector<CommittedPosition>>{[weak = weak_from_this(), post = env_.hub->post(), id,
                                                        topics](Result<std::vector<CommittedPosition>> answer) {
        post([weak, id, topics, answer = std::move(answer)] {
          if (const auto self = weak.lock()) self->on_committed(id, answer, topics);
        });
      }});
  if (!sent) return reply_error(id, sent.error());
  open_ids_.insert(*id);
}

void WsSession::on_committed(std::optional<std::uint64_t> id, const Result<std::vector<CommittedPosition>>& answer,
                             const std::map<TopicIdPartition, std::string>& topics) {
  if (closed_) return;
  const Error* wrong = answer ? nullptr : &answer.error();
  std::map<std::string, std::string> by_topic;
  for (std::size_t i = 0; answer && i < answer->size(); ++i) {
    const auto& one = (*answer)[i];
    if (!one.next) {
      wrong = &one.next.error();
      continue;
    }
    auto& offsets = by_topic[topics.at(one.partition)];
    offsets += (offsets.empty() ? "\"" : ",\"") + to_string(one.partition.partition) + "\":" + to_string(*one.next);
  }
  if (wrong != nullptr) {
    reply_error(id, *wrong);
  } else {
    std::string ok = "{\"committed\":{";
    for (const auto& [topic, offsets] : by_topic) ok += (ok.back() == '{' ? "" : ",") + quoted(topic) + ":{" + offsets + "}";
    reply_ok(id, ok + "}}");
  }
  flush_now();
}

void WsSession::run(const std::optional<std::uint64_t>& id, RevokedCommand&& command) {
  auto* group = find_group(command.sub);
  if (group == nullptr) return reply_error(id, "unknown_sub", 404, no_such_sub);
  group::PartitionList released;
  for (const auto& [topic, partitions] : command.partitions) {
    for (const auto partition : partitions) {
      // One that went meanwhile needs no release.
      if (const auto found = group->stream->find(topic, partition)) released.push_back(*found);
    }
  }
  std::ranges::sort(released);
  group->stream->released(std::move(released));
  reply_ok(id, "{}");
}

}  // namespace troupe::http
