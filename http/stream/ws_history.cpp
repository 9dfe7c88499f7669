#include <algorithm>
#include <deque>
#include <utility>

#include "http/stream/ws_parts.hpp"
#include "http/stream/ws_session.hpp"

/// `history` and `get`: the newest records below a position, read backwards once and answered as a whole.
namespace troupe::http {
namespace {

constexpr std::size_t histories_max = 4;

}  // namespace

/// A subscription that ends where it was asked to, and what it gave so far: at most an answer's bytes, of which the oldest go first.
struct WsSession::History final : FeedSink {
  struct Record {
    TimestampMs timestamp;
    Offset offset;
    std::string text;
  };

  void records(SharedBatch& batch, const std::shared_ptr<const Rendering>& rendering, std::size_t begin,
               std::size_t end) override {
    for (auto i = begin; i < end; ++i) {
      const auto& record = batch.run().records[i];
      auto text = rendering->text.substr(rendering->starts[i], rendering->starts[i + 1] - rendering->starts[i]);
      bytes += text.size();
      kept[batch.partition()].push_back({record.timestamp, record.offset, std::move(text)});
      ++count;
    }
    while (bytes > bytes_max && count > 1) drop_oldest();
  }
  void held(std::string) override {}

  void drop_oldest() {
    std::deque<Record>* oldest = nullptr;
    for (auto& [partition, records] : kept) {
      if (!records.empty() && (oldest == nullptr || records.front().timestamp < oldest->front().timestamp))
        oldest = &records;
    }
    bytes -= oldest->front().text.size();
    oldest->pop_front();
    --count;
    dropped = true;
  }

  std::optional<std::uint64_t> id;
  HistoryCommand command;
  std::shared_ptr<Feed> feed;
  std::map<PartitionId, std::deque<Record>> kept;
  std::size_t bytes = 0;
  std::size_t count = 0;
  std::size_t bytes_max = 0;
  bool dropped = false;
};

void WsSession::run(const std::optional<std::uint64_t>& id, HistoryCommand&& command) {
  if (histories_.size() >= histories_max)
    return reply_error(id, "rate_limited", 42901, "at most 4 history commands at a time", true);
  auto made = make_history(command);
  if (!made) return reply_error(id, made.error());
  (*made)->id = id;
  if (id) open_ids_.insert(*id);
  histories_.insert(std::move(*made));
}

Result<std::shared_ptr<WsSession::History>> WsSession::make_history(const HistoryCommand& command) {
  TROUPE_TRY_ASSIGN(const auto topic, readable_topic(env_.broker, command.topic));
  consumer::SubscriptionOptions options{.keys = command.keys, .up_to_now = true};
  options.topics.push_back({.topic_id = topic->id,
                            .partitions = partitions_of_keys(*topic, command.keys),
                            .from = {.kind = consumer::StartFrom::Kind::last, .last = command.limit}});
  if (command.before) {
    TROUPE_TRY_ASSIGN(const auto cursor, consumer::Cursor::decode(*command.before));
    if (cursor.topic_id != topic->id) return Error{Errc::invalid_argument, "before: a cursor of another topic"};
    for (const auto& [partition, position] : cursor.positions) options.before[{topic->id, partition}] = position.next_offset;
  }
  auto history = std::make_shared<History>();
  history->command = command;
  history->bytes_max = env_.limits.frame_out_bytes_max;
  history->feed = std::make_shared<Feed>(
      env_.hub, consumer::Subscription(std::move(options), env_.wall_now()), RenderKind{.format = command.format},
      std::vector<std::string>{command.topic},
      [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->wants_flush();
      },
      env_.now());
  return history;
}

void WsSession::pull_history(const std::shared_ptr<History>& history) {
  const auto now = env_.now();
  auto& subscription = history->feed->subscription();
  constexpr consumer::Room no_limit{.bytes = std::size_t{1} << 40, .untouched = true};
  std::optional<Error> error;
  while (!error) {
    const auto got = history->feed->pull(now, no_limit, *history);
    for (auto& note : subscription.take_notes()) {
      if (note.error) error = std::move(note.error);
    }
    if (subscription.ended() || (got == 0 && !subscription.has_notes())) break;
  }
  if (!error && !subscription.finished()) return;
  history->feed->close(now);
  histories_.erase(history);
  if (error) return reply_error(history->id, *error);

  std::vector<History::Record> records;
  const auto starts = subscription.starts();
  consumer::Cursor before{.topic_id = subscription.options().topics[0].topic_id, .positions = {}};
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const auto partition = subscription.partitions()[i].partition;
    auto position = starts[i].position;
    auto& kept = history->kept[partition];
    if (history->dropped) position.next_offset = kept.empty() ? subscription.position(i) : kept.front().offset;
    before.positions[partition] = position;
    std::ranges::move(kept, std::back_inserter(records));
  }
  std::ranges::stable_sort(records, {}, &History::Record::timestamp);
  std::string shown;
  for (const auto& record : records) shown += record.text;
  if (!shown.empty()) shown.pop_back();
  if (history->command.one) return reply_ok(history->id, shown.empty() ? "null" : shown);
  const bool end = !history->dropped && records.size() < static_cast<std::size_t>(history->command.limit);
  reply_ok(history->id, "{\"records\":[" + shown + "],\"cursor\":\"" + before.encode() +
                            (end ? "\",\"end\":true}" : "\",\"end\":false}"));
}

void WsSession::tick_history(History& history, MonotonicMs now) { history.feed->subscription().tick(now); }

void WsSession::close_histories(MonotonicMs now) {
  for (const auto& history : histories_) history->feed->close(now);
  histories_.clear();
}

}  // namespace troupe::http
