#include <utility>

#include "base/uuid.hpp"
#include "http/json/json_syntax.hpp"
#include "http/router/target.hpp"
#include "http/stream/group_words.hpp"
#include "http/stream/sse_session.hpp"

/// An event stream as a member of a group: what was sent is done. docs/consumers.md
namespace troupe::http {
namespace {

const std::string stream_name = "events";

Result<GroupDefinition> read_definition(const std::string& topic, const Query& query) {
  GroupDefinition definition{.group = std::string(query.find("group").value_or("")), .topics = {topic}, .events = true};
  definition.instance = query.find("instance").value_or("");
  definition.assignor = query.find("assignor").value_or("");
  const auto from = query.find("from").value_or("latest");
  if (from != "earliest" && from != "latest" && from != "none") {
    return Error{Errc::invalid_argument, "from: with a group, where it begins without a position: earliest, latest or none"};
  }
  definition.otherwise = from == "earliest" ? OffsetReset::earliest
                         : from == "none"   ? OffsetReset::none
                                            : OffsetReset::latest;
  if (const auto format = query.find("format")) {
    TROUPE_TRY_ASSIGN(definition.format, parse_record_format(*format));
  }
  for (const auto* name : {"key", "snapshot", "on_gap", "slow", "max_rate", "after_ms", "max_lag"}) {
    if (query.find(name)) {
      return Error{Errc::invalid_argument,
                   std::string(name) + ": does not go with a group, whose members share all records"};
    }
  }
  return definition;
}

/// Events as they come: they have no id of their own, for the group knows where it is.
class Events final : public FeedSink {
 public:
  Events(OutMessage& message, metrics::Counter& records) : message_(message), records_(records) {}
  void records(SharedBatch&, const std::shared_ptr<const Rendering>& rendering, std::size_t begin,
               std::size_t end) override {
    message_.append(rendering, rendering->starts[begin], rendering->starts[end] - rendering->starts[begin]);
    records_.add(static_cast<double>(end - begin));
  }
  void held(std::string) override {}

 private:
  OutMessage& message_;
  metrics::Counter& records_;
};

}  // namespace

std::optional<HttpError> SseSession::open_group(const std::string& topic, const Query& query,
                                                const std::optional<std::string>& last_event_id) {
  auto definition = read_definition(topic, query);
  if (!definition) return http_error(definition.error());
  records_out_ = env_.counters->records_out(topic, "sse-group");
  in_group_ = true;
  auto id = last_event_id;
  if (!id || id->empty()) {
    if (const auto given = query.find("last_event_id")) id = std::string(*given);
  }
  if (!id || id->empty()) return join(std::move(*definition), {});
  // Of the stream before, whose membership waits.
  env_.sessions->claim(*id,
                       [weak = weak_from_this(), post = env_.hub->post(), definition = *definition](GroupStreams streams) {
                         post([weak, definition, streams = std::move(streams)]() mutable {
                           const auto self = weak.lock();
                           if (!self || self->closed_) return;
                           const auto refused = self->join(std::move(definition), std::move(streams));
                           if (!refused) return self->flush(self->env_.now());
                           auto* transport = self->transport_;
                           self->closed();
                           transport->refuse(*refused);
                         });
                       });
  return std::nullopt;
}

std::optional<HttpError> SseSession::join(GroupDefinition definition, GroupStreams streams) {
  const auto wake = [weak = weak_from_this(), post = env_.hub->post()] {
    post([weak] {
      if (const auto self = weak.lock()) self->wants_flush();
    });
  };
  if (auto node = streams.extract(stream_name); !node.empty() && node.mapped()->definition() == definition) {
    group_ = std::move(node.mapped());
    group_->resume(wake, {});
  } else {
    auto opened =
        GroupStream::open(env_.broker.consumer_api(), std::move(definition), {}, {"events", transport_->peer_host()});
    if (!opened) return http_error(opened.error());
    group_ = std::move(*opened);
    group_->attach(wake);
  }
  session_ = "s-" + to_string(Uuid::random());
  env_.sessions->live(session_, [weak = weak_from_this(), post = env_.hub->post()](SessionBook::Take take) {
    post([weak, take = std::move(take)] {
      GroupStreams given;
      if (const auto self = weak.lock(); self && self->group_) {
        self->group_->detach();
        given[stream_name] = std::exchange(self->group_, nullptr);
        self->session_.clear();
        self->finish(true);
      }
      take(std::move(given));
    });
  });
  begun_ = true;
  transport_->begin({});
  // The id is the session's: a browser says it again by itself when it comes back.
  queued_ = "retry: 2000\n: connected node=" + to_string(env_.broker.cluster().node_id) + "\nid: " + session_ + "\n\n";
  return std::nullopt;
}

/// What goes into the next piece of the body.
void SseSession::pull_group(OutMessage& message) {
  for (const auto& event : group_->take()) {
    const auto told = words_of(*group_, event);
    if (told.state.empty()) continue;
    const bool ended = told.state == "ended";
    message.append("event: " + std::string(ended ? "end" : told.state) +
                   "\ndata: " + (ended ? told.error : "{" + told.members + "}") + "\n\n");
  }
  if (group_->is_over()) {
    over_ = true;
    return;
  }
  Events sink(message, records_out_);
  full_ = group_->pull({.bytes = env_.limits.send_queue_bytes_max, .untouched = true}, sink) > 0;
}

void SseSession::leave_group() {
  if (!group_) return;
  group_->detach();
  const auto session = std::exchange(session_, {});
  GroupStreams streams;
  if (!group_->is_over() && !session.empty()) streams[stream_name] = group_;
  group_.reset();
  if (session.empty()) return;
  if (streams.empty()) return env_.sessions->forget(session);
  env_.sessions->park(session, std::move(streams), env_.now() + resume_grace_ms);
}

}  // namespace troupe::http
