#include "core/metadata/metadata_machine.hpp"

#include <algorithm>

#include "core/metadata/broker_lifecycle.hpp"
#include "core/metadata/cluster_rules.hpp"
#include "core/metadata/snapshot.hpp"
#include "core/record/batch_builder.hpp"

namespace troupe::metadata {
namespace {

MetadataEffects failed(Error error) { return {FailMetadata{std::move(error)}}; }

}  // namespace

MetadataMachine::MetadataMachine(Options options) : options_(std::move(options)) { TROUPE_ASSERT(options_.new_uuid); }

// --- opening and replaying

MetadataEffects MetadataMachine::opened(const OpenedMetadataLog& log) {
  cluster_id_ = log.cluster_id;
  auto effects = load(log);
  if (!loaded_) return effects;
  if (!image_->cluster_id().is_nil() && image_->cluster_id() != cluster_id_) {
    return failed({Errc::wrong_owner, "the metadata is of cluster " + to_string(image_->cluster_id()) +
                                          ", its directory of cluster " + to_string(cluster_id_)});
  }
  if (log.log_end_offset < image_->applied()) {
    return failed({Errc::corrupt_message, "the metadata log ends at " + to_string(log.log_end_offset) + ", before " +
                                              to_string(image_->applied()) + ", below which all was committed"});
  }
  log_.opened(log.log_end_offset, log.latest_epoch);
  if (image_->applied() == log_.committed()) {
    std::ranges::move(replayed(nullptr), std::back_inserter(effects));
    return effects;
  }
  replay_.emplace(image_);
  read_from_ = image_->applied();
  effects.emplace_back(ReadMetadataLog{read_from_});
  return effects;
}

/// The image before the log: the snapshot's, or an empty one.
MetadataEffects MetadataMachine::load(const OpenedMetadataLog& log) {
  if (loaded_) return {};
  const auto& stored = log.snapshot;
  auto decoded = [&]() -> Result<ImagePtr> {
    if (!stored) return stored.error();
    if (!*stored) return ImagePtr{};
    return decode_snapshot(**stored);
  }();
  MetadataEffects effects;
  const bool whole_log = log.log_start_offset == Offset{0};
  if (!decoded) {
    if (!whole_log) {
      return failed(decoded.error().with_context(std::string(snapshot_file_name) + " is needed, the log begins at " +
                                                 to_string(log.log_start_offset)));
    }
    effects.emplace_back(NoteMetadata{std::string(snapshot_file_name) +
                                      " is damaged, the log is replayed from 0: " + decoded.error().message});
  } else if (*decoded) {
    if ((*decoded)->applied() < log.log_start_offset) {
      return failed({Errc::corrupt_message, std::string(snapshot_file_name) + " ends at " +
                                                to_string((*decoded)->applied()) + ", the log begins at " +
                                                to_string(log.log_start_offset) + ": what lies between is lost"});
    }
    image_ = *decoded;
    snapshot_at_ = image_->applied();
  } else if (!whole_log) {
    return failed({Errc::corrupt_message, std::string(snapshot_file_name) + " is missing, the log begins at " +
                                              to_string(log.log_start_offset) + ": what was before is lost"});
  }
  loaded_ = true;
  return effects;
}

MetadataEffects MetadataMachine::read(ByteView batches, Offset next_offset) {
  if (log_.state() != MetadataLog::State::replaying || !replay_) return {};
  if (next_offset <= read_from_) {
    return failed({Errc::corrupt_message, "the metadata log has nothing at " + to_string(read_from_) + " and ends at " +
                                              to_string(log_.committed())});
  }
  if (auto applied = replay_->apply_batches(batches, read_from_); !applied) return failed(applied.error());
  read_from_ = next_offset;
  if (read_from_ < log_.committed()) return {ReadMetadataLog{read_from_}};
  const auto delta = replay_->finish(read_from_, options_.broker.id);
  replay_.reset();
  image_ = delta.after;
  return replayed(&delta);
}

/// `delta`: what the image learned, null for nothing.
MetadataEffects MetadataMachine::replayed(const ImageDelta* delta) {
  MetadataEffects effects;
  log_.replayed();
  if (delta != nullptr && !image_->cluster_id().is_nil() && image_->cluster_id() != cluster_id_) {
    return failed({Errc::wrong_owner, "the metadata is of cluster " + to_string(image_->cluster_id()) +
                                          ", its directory of cluster " + to_string(cluster_id_)});
  }
  if (ready_ && delta != nullptr) effects.emplace_back(PublishMetadata{std::make_shared<const ImageDelta>(*delta)});
  if (turn_) {
    if (image_->applied() >= turn_->delta->after->applied()) {
      settle_turn(effects);
    } else {
      auto turn = std::exchange(turn_, std::nullopt);
      for (auto entry = turn->entries.rbegin(); entry != turn->entries.rend(); ++entry) redecide(*entry);
    }
  } else if (!ready_) {
    queue_own_registration();
  }
  want_turn(effects);
  return effects;
}

MetadataEffects MetadataMachine::lost() {
  log_.lost();
  replay_.reset();
  return {OpenMetadataLog{}};
}

// --- commands

MetadataEffects MetadataMachine::submit(std::uint64_t token, MetadataCommand command, MonotonicMs deadline) {
  TROUPE_ASSERT(token != own_registration);
  MetadataEffects effects;
  if (pending_.size() >= options_.requests_max) {
    effects.emplace_back(AnswerMetadata{
        token, Error{Errc::overloaded, std::to_string(pending_.size()) + " changes of metadata wait already: try again"}});
    return effects;
  }
  const bool added = pending_.try_emplace(token, Pending{std::move(command), deadline}).second;
  TROUPE_ASSERT(added);
  deadlines_.emplace(deadline, token);
  queue_.push_back(token);
  want_turn(effects);
  return effects;
}

void MetadataMachine::want_turn(MetadataEffects& effects) {
  if (turn_wanted_ || queue_.empty() || log_.state() != MetadataLog::State::leading) return;
  turn_wanted_ = true;
  effects.emplace_back(WantTurn{});
}

MetadataEffects MetadataMachine::turn(TimestampMs now) {
  turn_wanted_ = false;
  MetadataEffects effects;
  if (log_.state() != MetadataLog::State::leading) return effects;
  const auto place = log_.next_place();
  ImageBuilder builder{image_};
  record::RecordBatchBuilder batch{{.base_offset = place.base_offset, .leader_epoch = place.leader_epoch}};
  std::vector<TurnEntry> entries;
  std::size_t looked_at = 0;
  for (; !queue_.empty() && looked_at < options_.turn_commands_max && batch.size_bytes() < options_.turn_bytes_max;
       ++looked_at) {
    const auto token = queue_.front();
    auto decided = decide(builder, token);
    if (!decided) break;
    queue_.pop_front();
    if (token == own_registration) own_queued_ = false;
    if (!decided->records.empty()) {
      for (const auto& record : decided->records) {
        const auto value = encode_metadata_record(record);
        if (auto applied = builder.apply(record, place.base_offset + batch.records_count()); !applied) {
          return failed(applied.error().with_context("the controller decided what cannot be"));
        }
        batch.add({.timestamp = now, .value = ByteView{value}});
      }
      if (const auto at = pending_.find(token); at != pending_.end()) at->second.sent = true;
      entries.push_back({token, true, decided->topic, TopicPtr{}, std::move(decided->cluster)});
    } else if (batch.records_count() > 0) {
      entries.push_back({token, false, {}, std::move(decided->verdict), std::move(decided->cluster)});
    } else if (token == own_registration) {
      become_ready(effects);
    } else {
      answer(effects, token, std::move(decided->verdict), std::move(decided->cluster));
    }
  }
  if (batch.records_count() == 0) {
    want_turn(effects);
    return effects;
  }
  const auto records = batch.records_count();
  auto bytes = batch.build();
  if (!bytes) return failed(bytes.error());
  turn_ = Turn{std::move(entries),
               std::make_shared<const ImageDelta>(builder.finish(place.base_offset + records, options_.broker.id))};
  log_.propose(records);
  effects.emplace_back(AppendMetadata{place, Bytes::adopt(std::move(*bytes))});
  return effects;
}

/// nullopt: not in this turn.
std::optional<MetadataMachine::Decided> MetadataMachine::decide(ImageBuilder& builder, std::uint64_t token) const {
  const auto& image = builder.image();
  if (token == own_registration) return Decided{decide_own_registration(image), {}};
  const auto at = pending_.find(token);
  if (at == pending_.end()) return Decided{};  // answered: its time was over
  const auto& command = at->second.command;
  const auto cluster_request = [&]() -> std::optional<ClusterRequest> {
    if (const auto* one = std::get_if<RegisterBrokerCommand>(&command)) return *one;
    if (const auto* one = std::get_if<ClusterRequest>(&command)) return *one;
    return std::nullopt;
  }();
  if (cluster_request) {
    auto decision = decide_cluster(image, *cluster_request);
    if (!decision) return Decided{{}, {}, decision.error()};
    return Decided{
        std::move(decision->records), {}, TopicPtr{}, std::make_shared<const ClusterAnswer>(std::move(decision->answer))};
  }
  bool validate_only = false;
  bool removes = false;
  const auto decision = [&]() -> Result<TopicDecision> {
    if (const auto* one = std::get_if<CreateTopicCommand>(&command)) {
      validate_only = one->request.validate_only;
      return decide_create(image, one->request, one->requester, options_.new_uuid, options_.limits);
    }
    if (const auto* one = std::get_if<AlterTopicCommand>(&command)) {
      validate_only = one->request.validate_only;
      return decide_alter(image, one->request, one->requester, options_.limits);
    }
    const auto& one = std::get<DeleteTopicCommand>(command);
    removes = true;
    return decide_delete(image, one.name, one.requester);
  }();
  if (!decision) return Decided{{}, {}, decision.error()};
  // A topic that goes in the turn in which it changed could not be answered with.
  if (removes && builder.touched(decision->topic)) return std::nullopt;
  if (removes) return Decided{decision->records, {}};
  if (validate_only || decision->records.empty()) return Decided{{}, {}, preview(image, *decision)};
  return Decided{decision->records, decision->topic};
}

std::vector<MetadataRecord> MetadataMachine::decide_own_registration(const MetadataImage& image) const {
  std::vector<MetadataRecord> records;
  if (image.cluster_id().is_nil() && !cluster_id_.is_nil()) records.emplace_back(ClusterRecord{cluster_id_});
  if (const auto upgrade = decide_upgrade(image, options_.broker.id)) records.emplace_back(*upgrade);
  auto registration = decide_register(image, {.broker = options_.broker, .incarnation = options_.incarnation});
  std::ranges::move(registration.records, std::back_inserter(records));
  return records;
}

MetadataEffects MetadataMachine::appended(std::uint64_t token, const Status& status, MonotonicMs now) {
  MetadataEffects effects;
  switch (log_.appended(token, status)) {
    case MetadataLog::Outcome::stale: return effects;
    case MetadataLog::Outcome::open: return lost();
    case MetadataLog::Outcome::committed: {
      const auto delta = turn_->delta;
      image_ = delta->after;
      if (ready_) effects.emplace_back(PublishMetadata{delta});
      settle_turn(effects);
      consider_snapshot(effects);
      break;
    }
    case MetadataLog::Outcome::refused: {
      auto turn = std::exchange(turn_, std::nullopt);
      for (auto entry = turn->entries.rbegin(); entry != turn->entries.rend(); ++entry) {
        if (!entry->writes) redecide(*entry);
      }
      for (const auto& entry : turn->entries) {
        if (!entry.writes) continue;
        if (entry.token == own_registration) {
          retry_registration_at_ = now + options_.registration_retry_ms;
        } else {
          answer(effects, entry.token, status.error());
        }
      }
      break;
    }
  }
  want_turn(effects);
  return effects;
}

/// The turn is committed, and in `image_`.
void MetadataMachine::settle_turn(MetadataEffects& effects) {
  const auto turn = std::exchange(turn_, std::nullopt);
  for (const auto& entry : turn->entries) {
    if (entry.token == own_registration) {
      become_ready(effects);
    } else if (!entry.writes) {
      answer(effects, entry.token, entry.verdict, entry.cluster);
    } else {
      answer(effects, entry.token, entry.topic.is_nil() ? TopicPtr{} : image_->find_topic(entry.topic), entry.cluster);
    }
  }
}

/// Before everything else: nothing may be shown before it.
void MetadataMachine::queue_own_registration() {
  if (std::exchange(own_queued_, true)) return;
  queue_.push_front(own_registration);
}

/// Nothing of it was written: it comes first in the next turn.
void MetadataMachine::redecide(const TurnEntry& entry) {
  if (entry.token == own_registration) return queue_own_registration();
  if (const auto at = pending_.find(entry.token); at != pending_.end()) at->second.sent = false;
  queue_.push_front(entry.token);
}

void MetadataMachine::answer(MetadataEffects& effects, std::uint64_t token, Result<TopicPtr> answer,
                             std::shared_ptr<const ClusterAnswer> cluster) {
  const auto at = pending_.find(token);
  if (at == pending_.end()) return;
  deadlines_.erase({at->second.deadline, token});
  pending_.erase(at);
  effects.emplace_back(AnswerMetadata{token, std::move(answer), std::move(cluster)});
}

void MetadataMachine::become_ready(MetadataEffects& effects) {
  if (std::exchange(ready_, true)) return;
  effects.emplace_back(MetadataIsReady{});
}

// --- snapshots

void MetadataMachine::consider_snapshot(MetadataEffects& effects) {
  if (snapshot_on_its_way_ || image_->applied() - snapshot_at_ < options_.snapshot_records_min) return;
  snapshot_at_ = image_->applied();
  snapshot_on_its_way_ = snapshot_at_;
  effects.emplace_back(WriteSnapshot{Bytes::adopt(encode_snapshot(*image_))});
}

MetadataEffects MetadataMachine::snapshot_written(const Status& status) {
  const auto written = std::exchange(snapshot_on_its_way_, std::nullopt);
  if (!written) return {};
  if (status) return {CutMetadataLog{*written}};
  return {
      NoteMetadata{"the metadata snapshot was not written, the log goes on from the one before: " + status.error().message}};
}

// --- time

std::optional<MonotonicMs> MetadataMachine::next_deadline() const {
  auto next = retry_registration_at_;
  if (!deadlines_.empty() && (!next || deadlines_.begin()->first < *next)) next = deadlines_.begin()->first;
  return next;
}

MetadataEffects MetadataMachine::on_deadline(MonotonicMs now) {
  MetadataEffects effects;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto token = deadlines_.begin()->second;
    const bool sent = pending_.at(token).sent;
    answer(effects, token,
           sent ? Error{Errc::request_timed_out, "the metadata log's disk has not answered in time: the outcome is unknown"}
                : Error{Errc::leader_not_available, "the metadata log is not available: nothing was changed, try again"});
  }
  if (retry_registration_at_ && *retry_registration_at_ <= now) {
    retry_registration_at_.reset();
    queue_own_registration();
    want_turn(effects);
  }
  return effects;
}

}  // namespace troupe::metadata
