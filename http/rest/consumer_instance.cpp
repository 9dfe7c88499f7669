#include "http/rest/consumer_instance.hpp"

#include <algorithm>
#include <set>

#include "base/base64.hpp"
#include "core/group/group_rules.hpp"
#include "core/record/record_batch.hpp"
#include "http/json/json_syntax.hpp"
#include "http/rest/answers.hpp"

namespace troupe::http {
namespace {

constexpr std::int64_t window_bytes = std::int64_t{1} << 20;
constexpr std::int64_t any_number = std::int64_t{1} << 40;

std::string_view type_of(RecordFormat format) {
  switch (format) {
    case RecordFormat::json: return "application/vnd.kafka.json.v2+json";
    case RecordFormat::text: return "application/vnd.kafka.text.v2+json";
    case RecordFormat::auto_:
    case RecordFormat::binary: break;
  }
  return "application/vnd.kafka.binary.v2+json";
}

void append_base64_text(std::string& out, ByteView bytes) {
  out += '"';
  append_base64(out, bytes);
  out += '"';
}

/// False: it cannot be shown in that format. A key can always: one that is not JSON is a string.
bool append_part(std::string& out, const std::optional<ByteView>& bytes, RecordFormat format, bool key) {
  if (!bytes) {
    out += "null";
    return true;
  }
  const auto text = as_text(*bytes);
  if (format == RecordFormat::binary) {
    append_base64_text(out, *bytes);
  } else if (format == RecordFormat::json && is_json(text)) {
    out += text;
  } else if ((format == RecordFormat::text || key) && is_utf8(text)) {
    append_json_string(out, text);
  } else if (key) {
    append_base64_text(out, *bytes);
  } else {
    return false;
  }
  return true;
}

/// As Strimzi's bridge writes them.
void append_metadata(std::string& out, const record::RecordView& record) {
  out += ",\"timestamp\":";
  append_number(out, record.timestamp.value());
  out += ",\"headers\":[";
  const auto headers = record::decode_headers(record);
  for (const auto& header : headers ? *headers : std::vector<record::RecordHeader>{}) {
    if (as_text(header.key).starts_with("__troupe") || !is_utf8(as_text(header.key))) continue;
    out += out.back() == '[' ? "{\"key\":" : ",{\"key\":";
    append_json_string(out, as_text(header.key));
    out += ",\"value\":";
    if (header.value) {
      append_base64_text(out, *header.value);
    } else {
      out += "null";
    }
    out += '}';
  }
  out += ']';
}

bool append_record_v2(std::string& out, const std::string& topic, PartitionId partition, const record::RecordView& record,
                      const InstanceSettings& settings) {
  const auto before = out.size();
  out += out.back() == '[' ? "{\"topic\":" : ",{\"topic\":";
  append_json_string(out, topic);
  out += ",\"key\":";
  append_part(out, record.key, settings.format, true);
  out += ",\"value\":";
  if (!append_part(out, record.value, settings.format, false)) {
    out.resize(before);
    return false;
  }
  out += ",\"partition\":";
  append_number(out, partition.value());
  out += ",\"offset\":";
  append_number(out, record.offset.value());
  if (settings.with_metadata) append_metadata(out, record);
  out += '}';
  return true;
}

Error illegal(const std::string& what) { return {Errc::conflict, "Illegal state: " + what}; }

}  // namespace

/// Events of one consumer, with its number: the one before may still say something.
class ConsumerInstance::Ear final : public ConsumerListener {
 public:
  Ear(std::weak_ptr<ConsumerInstance> instance, std::uint64_t run) : instance_(std::move(instance)), run_(run) {}

  void on_event(ConsumerEvent event) override {
    const auto instance = instance_.lock();
    if (!instance) return;
    std::shared_ptr<Consumer> releaser;
    PollPtr waiting;
    group::PartitionList let_go;
    {
      const std::lock_guard lock(instance->inbox_mutex_);
      if (instance->run_ != run_) return;
      if (std::holds_alternative<ConsumerRevoking>(event)) releaser = instance->releaser_;
      waiting = instance->waiting_;
      if (releaser) let_go = std::get<ConsumerRevoking>(event).partitions;
      instance->inbox_.push_back(std::move(event));
    }
    // What was answered and not committed comes again elsewhere: there is nobody to wait for.
    if (releaser) releaser->released(std::move(let_go));
    if (!waiting) return;
    waiting->call->executor()->post([instance, waiting] { instance->serve(waiting, false); });
  }

 private:
  const std::weak_ptr<ConsumerInstance> instance_;
  const std::uint64_t run_;
};

// --- what it reads ----------------------------------------------------------------------------------------------------------------

void ConsumerInstance::open(ConsumerOptions options) {
  options.group = settings_.group;
  options.reset = settings_.reset;
  options.auto_commit = settings_.auto_commit;
  options.credit = {any_number, window_bytes};
  options.fetch_bytes_max = static_cast<std::size_t>(window_bytes);
  std::uint64_t run = 0;
  {
    const std::lock_guard lock(inbox_mutex_);
    run = ++run_;
    inbox_.clear();
  }
  failed_.reset();
  consumer_ = consumers_.open(std::move(options), std::make_shared<Ear>(weak_from_this(), run));
  const std::lock_guard lock(inbox_mutex_);
  releaser_ = consumer_;
}

void ConsumerInstance::end_reading() {
  take_in();
  say_consumed();
  {
    const std::lock_guard lock(inbox_mutex_);
    ++run_;
    inbox_.clear();
    releaser_.reset();
  }
  consumer_.reset();
  parts_.clear();
  chunks_.clear();
  chunk_bytes_ = 0;
  mode_ = Mode::nothing;
}

Status ConsumerInstance::subscribe(std::vector<std::string> topics, std::string pattern) {
  const std::lock_guard lock(mutex_);
  if (mode_ == Mode::assigned) {
    return illegal("Subscription to topics, partitions and pattern are mutually exclusive.");
  }
  auto profile = profile_;
  std::ranges::sort(topics);
  topics.erase(std::unique(topics.begin(), topics.end()), topics.end());
  profile.topics = std::move(topics);
  profile.pattern = std::move(pattern);
  profile.client_id = settings_.name;
  TROUPE_TRY(group::check_profile(profile, {}));
  profile_ = profile;
  if (mode_ == Mode::subscribed && !failed_) {
    consumer_->change(std::move(profile));
    return ok();
  }
  if (consumer_) end_reading();
  ConsumerOptions options;
  options.profile = std::move(profile);
  open(std::move(options));
  mode_ = Mode::subscribed;
  return ok();
}

void ConsumerInstance::unsubscribe() {
  const std::lock_guard lock(mutex_);
  end_reading();
  profile_ = {};
}

Status ConsumerInstance::assign(const std::vector<std::pair<TopicIdPartition, std::string>>& partitions) {
  const std::lock_guard lock(mutex_);
  if (mode_ == Mode::subscribed) {
    return illegal("Subscription to topics, partitions and pattern are mutually exclusive.");
  }
  end_reading();
  if (partitions.empty()) return ok();
  ConsumerOptions options;
  for (const auto& [id, topic] : partitions) options.partitions.push_back(id);
  std::ranges::sort(options.partitions);
  options.partitions.erase(std::unique(options.partitions.begin(), options.partitions.end()), options.partitions.end());
  open(std::move(options));
  mode_ = Mode::assigned;
  return ok();
}

std::vector<std::string> ConsumerInstance::subscription() {
  const std::lock_guard lock(mutex_);
  take_in();
  if (mode_ != Mode::subscribed) return {};
  std::set<std::string> topics(profile_.topics.begin(), profile_.topics.end());
  for (const auto& [id, part] : parts_) topics.insert(part.topic);
  return {topics.begin(), topics.end()};
}

std::vector<ConsumerInstance::Named> ConsumerInstance::assignment() {
  const std::lock_guard lock(mutex_);
  take_in();
  std::vector<Named> all;
  for (const auto& [id, part] : parts_) all.emplace_back(part.topic, id.partition);
  std::ranges::sort(all);
  return all;
}

void ConsumerInstance::close() {
  const std::lock_guard lock(mutex_);
  end_reading();
  failed_ = Error{Errc::not_found, "Consumer instance not found."};
  for (const auto& poll : std::exchange(polls_, {})) {
    poll->done = true;
    poll->call->executor()->post([poll] {
      answer_error(poll->call, Dialect::v2, {.status = 404, .number = 40403, .message = "Consumer instance not found."});
    });
  }
  const std::lock_guard inbox_lock(inbox_mutex_);
  waiting_.reset();
}

void ConsumerInstance::touch(MonotonicMs now) {
  const std::lock_guard lock(mutex_);
  used_at_ = std::max(used_at_, now);
}

MonotonicMs ConsumerInstance::used_at() {
  const std::lock_guard lock(mutex_);
  return polls_.empty() ? used_at_ : MonotonicMs::max();
}

// --- what comes -------------------------------------------------------------------------------------------------------------------

void ConsumerInstance::take_in() {
  std::deque<ConsumerEvent> came;
  {
    const std::lock_guard lock(inbox_mutex_);
    came.swap(inbox_);
  }
  for (auto& event : came) take_in(event);
}

void ConsumerInstance::drop(const TopicIdPartition& id) {
  std::int64_t bytes = 0;
  std::erase_if(chunks_, [&](const Chunk& chunk) {
    if (chunk.records.partition != id) return false;
    bytes += chunk.bytes;
    return true;
  });
  chunk_bytes_ -= bytes;
  if (bytes > 0 && consumer_) consumer_->credit({0, bytes});
}

void ConsumerInstance::take_in(ConsumerEvent& event) {
  const auto forget = [&](const group::PartitionList& partitions) {
    for (const auto& id : partitions) {
      drop(id);
      parts_.erase(id);
    }
  };
  if (const auto* assigned = std::get_if<ConsumerAssigned>(&event)) {
    for (const auto& one : assigned->partitions) parts_[one.partition] = {.topic = one.topic, .position = one.next};
  } else if (auto* records = std::get_if<ConsumerRecords>(&event)) {
    const auto bytes = static_cast<std::int64_t>(records->batches.size());
    const auto found = parts_.find(records->partition);
    if (found == parts_.end() || found->second.seeking) {
      if (consumer_) consumer_->credit({0, bytes});
      return;
    }
    chunk_bytes_ += bytes;
    chunks_.push_back({std::move(*records), bytes});
  } else if (const auto* revoking = std::get_if<ConsumerRevoking>(&event)) {
    forget(revoking->partitions);
  } else if (const auto* lost = std::get_if<ConsumerLost>(&event)) {
    forget(lost->partitions);
  } else if (const auto* reset = std::get_if<ConsumerReset>(&event)) {
    const auto found = parts_.find(reset->partition);
    if (found == parts_.end()) return;
    drop(reset->partition);
    found->second.position = reset->to;
    found->second.unsaid.reset();
    found->second.seeking = false;
  } else if (const auto* failed = std::get_if<ConsumerFailed>(&event)) {
    failed_ = failed->error;
  }
}

void ConsumerInstance::say_consumed() {
  if (!settings_.auto_commit || !consumer_) return;
  for (auto& [id, part] : parts_) {
    if (part.unsaid) consumer_->consumed(id, *std::exchange(part.unsaid, std::nullopt));
  }
}

// --- records ----------------------------------------------------------------------------------------------------------------------

void ConsumerInstance::records(const CallPtr& call, Millis wait_ms, std::size_t bytes_max) {
  const auto poll = std::make_shared<Poll>(Poll{call, bytes_max});
  {
    const std::lock_guard lock(mutex_);
    take_in();
    say_consumed();
    polls_.push_back(poll);
    const std::lock_guard inbox_lock(inbox_mutex_);
    waiting_ = polls_.front();
  }
  const auto wait = settings_.fetch_min_bytes < 0 ? std::max<Millis>(1, wait_ms) : wait_ms;
  if (wait > 0) {
    // Not the poll itself: it holds the call, which holds this.
    call->on_hurry(wait, [weak = weak_from_this(), weak_poll = std::weak_ptr(poll)] {
      const auto self = weak.lock();
      const auto open = weak_poll.lock();
      if (self && open) self->serve(open, true);
    });
  }
  serve(poll, wait <= 0);
}

void ConsumerInstance::serve(const PollPtr& poll, bool now) {
  std::optional<Response> response;
  PollPtr next;
  {
    const std::lock_guard lock(mutex_);
    if (poll->done || (polls_.front() != poll && !now)) return;
    take_in();
    response = answer_for(*poll, now);
    if (!response) return;
    poll->done = true;
    std::erase(polls_, poll);
    if (!polls_.empty()) next = polls_.front();
    const std::lock_guard inbox_lock(inbox_mutex_);
    waiting_ = next;
  }
  poll->call->answer(std::move(*response));
  if (next) next->call->executor()->post([self = shared_from_this(), next] { self->serve(next, false); });
}

std::optional<Response> ConsumerInstance::answer_for(const Poll& poll, bool now) {
  if (failed_) return error_response(http_error(*failed_), Dialect::v2);
  if (!now && (settings_.fetch_min_bytes < 0 || chunk_bytes_ < settings_.fetch_min_bytes)) return std::nullopt;
  Response response{.content_type = type_of(settings_.format), .body = "["};
  auto& out = response.body;
  std::set<TopicIdPartition> stuck;
  std::int64_t given_back = 0;
  for (auto chunk = chunks_.begin(); chunk != chunks_.end() && (out.size() == 1 || out.size() < poll.bytes_max);) {
    const auto id = chunk->records.partition;
    if (stuck.contains(id)) {
      ++chunk;
      continue;
    }
    if (!append_chunk(*chunk, out, poll.bytes_max)) stuck.insert(id);
    if (parts_.at(id).position < chunk->records.next) {
      stuck.insert(id);
      ++chunk;
    } else {
      given_back += chunk->bytes;
      chunk = chunks_.erase(chunk);
    }
  }
  chunk_bytes_ -= given_back;
  if (given_back > 0 && consumer_) consumer_->credit({0, given_back});
  if (out.size() == 1 && !stuck.empty()) {
    const auto& part = parts_.at(*stuck.begin());
    return error_response({.status = 408,
                           .number = 40801,
                           .code = "invalid_record",
                           .message = "the record " + part.topic + "-" + to_string(stuck.begin()->partition) + " " +
                                      to_string(part.position) + " is not of this instance's format: seek past it"},
                          Dialect::v2);
  }
  if (out.size() == 1 && !now) return std::nullopt;
  out += ']';
  return response;
}

bool ConsumerInstance::append_chunk(Chunk& chunk, std::string& out, std::size_t bytes_max) {
  auto& part = parts_.at(chunk.records.partition);
  const auto moved_to = [&](Offset position) {
    if (position <= part.position) return;
    part.position = position;
    part.unsaid = position;
  };
  for (auto rest = chunk.records.batches.view(); !rest.empty();) {
    const auto batch = record::parse_batch(rest);
    if (!batch) return false;
    rest = rest.subspan(batch->bytes.size());
    if (batch->header.is_control() || batch->header.next_offset() <= part.position) continue;
    const auto block = record::open_records(*batch, {});
    if (!block) return false;
    record::RecordReader reader(batch->header, block->bytes);
    while (const auto one = reader.next()) {
      if (one->offset < part.position) continue;
      const auto before = out.size();
      if (!append_record_v2(out, part.topic, chunk.records.partition.partition, *one, settings_)) return false;
      // One record in any case, however large it is.
      if (out.size() > bytes_max && before > 1) {
        out.resize(before);
        return true;
      }
      moved_to(one->offset + 1);
    }
  }
  moved_to(chunk.records.next);
  return true;
}

// --- positions --------------------------------------------------------------------------------------------------------------------

void ConsumerInstance::commit(const std::optional<Positions>& positions, Reply<std::vector<CommittedPosition>> reply) {
  const std::lock_guard lock(mutex_);
  take_in();
  if (!consumer_) return reply(illegal("the consumer has no subscription and no assignment"));
  if (failed_) return reply(*failed_);
  auto what = positions.value_or(Positions{});
  if (!positions) {
    for (auto& [id, part] : parts_) what.emplace_back(id, part.position);
  }
  for (const auto& [id, next] : what) {
    if (const auto found = parts_.find(id); found != parts_.end()) found->second.unsaid.reset();
  }
  if (what.empty()) return reply(std::vector<CommittedPosition>{});
  consumer_->commit(std::move(what), std::move(reply));
}

void ConsumerInstance::seek(const std::vector<std::pair<TopicIdPartition, SeekTarget>>& targets,
                            std::function<void(Status)> done) {
  const std::lock_guard lock(mutex_);
  take_in();
  if (!consumer_) return done(illegal("the consumer has no subscription and no assignment"));
  for (const auto& [id, target] : targets) {
    if (!parts_.contains(id)) return done(Error{Errc::fenced_member_epoch, "not assigned"});
  }
  if (targets.empty()) return done(ok());
  struct Gather {
    std::mutex mutex;
    std::size_t open;
    Status status = ok();
    std::function<void(Status)> done;
  };
  const auto gather = std::make_shared<Gather>();
  gather->open = targets.size();
  gather->done = std::move(done);
  for (const auto& [id, target] : targets) {
    drop(id);
    parts_.at(id).seeking = true;
    parts_.at(id).unsaid.reset();
    consumer_->seek(id, target, Reply<Offset>{[gather](const Result<Offset>& answer) {
                      std::unique_lock gathering(gather->mutex);
                      if (!answer) gather->status = answer.error();
                      if (--gather->open > 0) return;
                      gathering.unlock();
                      gather->done(gather->status);
                    }});
  }
}

}  // namespace troupe::http
