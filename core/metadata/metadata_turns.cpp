#include <algorithm>

#include "core/metadata/broker_lifecycle.hpp"
#include "core/metadata/cluster_rules.hpp"
#include "core/metadata/metadata_machine.hpp"

/// Deciding, where the quorum's leader is.
namespace troupe::metadata {
namespace {

/// An attempt of this command that nobody knew the end of has made the topic.
TopicPtr made_before(const MetadataImage& image, const CreateTopicCommand& command) {
  const auto topic = image.find_topic(command.request.name);
  if (!topic) return nullptr;
  const bool known =
      topic->id == command.topic_id || std::ranges::find(command.earlier_ids, topic->id) != command.earlier_ids.end();
  return known ? topic : nullptr;
}

Error changed_since(const std::string& name) {
  return {Errc::request_timed_out, "\"" + name + "\" is another topic, or was changed in another way, since then"};
}

/// An alter after an attempt that nobody knows the end of.
enum class Repeat : std::uint8_t { done, open };

/// done: the topic is as that attempt would have made it. open: it is as it was before. Errors: neither.
Result<Repeat> look_back(const MetadataImage& image, const AlterTopicCommand& command) {
  const auto topic = image.find_topic(command.request.name);
  if (!topic || topic->id != command.before->id) return changed_since(command.request.name);
  if (seen(*topic) == *command.before) return Repeat::open;
  if (command.request.partitions && *command.request.partitions != topic->partition_count()) {
    return changed_since(command.request.name);
  }
  auto config_only = command.request;
  config_only.partitions.reset();
  TROUPE_TRY_ASSIGN(const auto decision, decide_alter(image, config_only, command.requester));
  if (!decision.records.empty()) return changed_since(command.request.name);
  return Repeat::done;
}

}  // namespace

void MetadataMachine::want_turn(MetadataEffects& effects) {
  if (turn_wanted_ || queue_.empty() || turn_ || !deciding_) return;
  turn_wanted_ = true;
  effects.emplace_back(WantTurn{});
}

MetadataEffects MetadataMachine::turn(std::optional<quorum::QuorumNode::Place> place, TimestampMs wall_now,
                                      MonotonicMs now) {
  now_ = now;
  turn_wanted_ = false;
  MetadataEffects effects;
  if (failed_ || !deciding_ || turn_) return effects;
  if (!place) {  // leadership is being handed over
    if (!retry_at_) retry_at_ = now_ + options_.retry_ms;
    return effects;
  }
  show(effects);
  ImageBuilder builder{image_};
  record::RecordBatchBuilder batch{{.base_offset = place->base_offset, .leader_epoch = place->epoch}};
  std::vector<TurnEntry> entries;
  std::size_t looked_at = 0;
  for (; !queue_.empty() && looked_at < options_.turn_commands_max && batch.size_bytes() < options_.turn_bytes_max;
       ++looked_at) {
    const auto token = queue_.front();
    const auto at = pending_.find(token);
    if (at == pending_.end()) {  // its time was over
      queue_.pop_front();
      continue;
    }
    auto decided = decide(builder, at->second.command);
    if (!decided) break;
    queue_.pop_front();
    if (!decided->records.empty()) {
      if (auto added = add_to_turn(builder, batch, *place, decided->records, wall_now); !added) {
        fail(added.error(), effects);
        return effects;
      }
      at->second.stage = Stage::sent;
      entries.push_back({token, true, decided->result, MetadataAnswer{}});
    } else {
      at->second.stage = Stage::confirming;
      entries.push_back({token, false, {}, std::move(decided->verdict)});
    }
  }
  if (batch.records_count() == 0) {
    if (!entries.empty()) {
      confirming_.emplace(++last_turn_, std::move(entries));
      effects.emplace_back(ConfirmLeader{last_turn_});
    }
    want_turn(effects);
    return effects;
  }
  const auto records = batch.records_count();
  auto bytes = batch.build();
  if (!bytes) {
    fail(bytes.error(), effects);
    return effects;
  }
  turn_ = Turn{++last_turn_, *place, std::move(entries),
               std::make_shared<const ImageDelta>(builder.finish(place->base_offset + records, leader_))};
  effects.emplace_back(ProposeMetadata{last_turn_, *place, records, Bytes::adopt(std::move(*bytes))});
  return effects;
}

Status MetadataMachine::add_to_turn(ImageBuilder& builder, record::RecordBatchBuilder& batch,
                                    quorum::QuorumNode::Place place, const std::vector<MetadataRecord>& records,
                                    TimestampMs wall_now) const {
  auto all = batch.records_count() == 0 ? first_records(builder.image()) : std::vector<MetadataRecord>{};
  std::ranges::copy(records, std::back_inserter(all));
  for (const auto& record : all) {
    const auto value = encode_metadata_record(record);
    if (auto applied = builder.apply(record, place.base_offset + batch.records_count()); !applied) {
      return applied.error().with_context("the controller decided what cannot be");
    }
    batch.add({.timestamp = wall_now, .value = ByteView{value}});
  }
  return ok();
}

/// Whose metadata it is stands before everything else.
std::vector<MetadataRecord> MetadataMachine::first_records(const MetadataImage& image) const {
  std::vector<MetadataRecord> records;
  if (image.cluster_id().is_nil() && !cluster_id_.is_nil()) records.emplace_back(ClusterRecord{cluster_id_});
  if (const auto upgrade = decide_upgrade(image, options_.broker.id)) records.emplace_back(*upgrade);
  return records;
}

/// nullopt: not in this turn.
std::optional<MetadataMachine::Decided> MetadataMachine::decide(ImageBuilder& builder,
                                                                const MetadataCommand& command) const {
  const auto& image = builder.image();
  const auto of_topic = [&](const Result<TopicDecision>& decision, bool validate_only) -> Decided {
    if (!decision) return {.verdict = decision.error()};
    if (!validate_only && !decision->records.empty()) return {.records = decision->records, .result = decision->topic};
    auto topic = preview(image, *decision);
    if (!topic) return {.verdict = topic.error()};
    return {.verdict = MetadataAnswer{decision->topic, std::move(*topic)}};
  };
  if (const auto* one = std::get_if<CreateTopicCommand>(&command)) {
    if (const auto made = made_before(image, *one)) return of_topic(TopicDecision{made->id, {}}, false);
    const auto decision = decide_create(
        image, one->request, one->requester, [&] { return one->topic_id; }, options_.limits);
    return of_topic(decision, one->request.validate_only);
  }
  if (const auto* one = std::get_if<AlterTopicCommand>(&command)) {
    if (one->before) {
      const auto repeat = look_back(image, *one);
      if (!repeat) return Decided{.verdict = repeat.error()};
      if (*repeat == Repeat::done) return of_topic(TopicDecision{one->before->id, {}}, false);
    }
    return of_topic(decide_alter(image, one->request, one->requester, options_.limits), one->request.validate_only);
  }
  if (const auto* one = std::get_if<DeleteTopicCommand>(&command)) {
    if (one->before) {
      const auto topic = image.find_topic(one->name);
      if (!topic) return Decided{};  // an earlier attempt has done it, or somebody else: it is gone
      if (topic->id != one->before->id) return Decided{.verdict = changed_since(one->name)};
    }
    auto decision = decide_delete(image, one->name, one->requester);
    if (!decision) return Decided{.verdict = decision.error()};
    // A topic that goes in the turn in which it changed could not be answered with.
    if (builder.touched(decision->topic)) return std::nullopt;
    return Decided{.records = std::move(decision->records)};
  }
  const auto& request = std::get<ClusterCommand>(command).request;
  // Who is alive is not in the image.
  if (const auto* registration = std::get_if<RegisterBrokerRequest>(&request);
      registration != nullptr && options_.may_register) {
    if (auto may = options_.may_register(*registration); !may) return Decided{.verdict = may.error()};
  }
  const auto& before = std::get<ClusterCommand>(command).before;
  auto decision = before ? decide_repeated(image, request, *before, drains_) : decide_cluster(image, request);
  if (!decision) return Decided{.verdict = decision.error()};
  const CommandResult result{std::move(decision->answer)};
  if (decision->records.empty()) return Decided{.verdict = MetadataAnswer{result, {}}};
  return Decided{.records = std::move(decision->records), .result = result};
}

// --- what became of a turn

MetadataEffects MetadataMachine::proposed(std::uint64_t token, const Result<Offset>& answer, MonotonicMs now) {
  now_ = now;
  MetadataEffects effects;
  if (failed_) return effects;
  if (confirming_.contains(token)) {
    leadership_confirmed(token, answer, effects);
    return effects;
  }
  if (!turn_ || turn_->token != token || answer) return effects;  // what is delivered is the answer
  switch (answer.error().code) {
    case Errc::request_timed_out: return effects;  // the log will show it
    case Errc::message_too_large:
    case Errc::overloaded:
    case Errc::invalid_argument: turn_refused(answer.error(), effects); break;
    default: turn_dropped(effects); break;
  }
  want_turn(effects);
  return effects;
}

/// It is in the image.
void MetadataMachine::turn_committed(MetadataEffects& effects) {
  show(effects);
  const auto turn = *std::exchange(turn_, std::nullopt);
  for (const auto& entry : turn.entries) {
    const auto at = pending_.find(entry.token);
    if (at == pending_.end()) continue;
    if (entry.writes) {
      at->second.uncertain = false;
      settle_answer(entry.token, at->second, CommandDone{applied_, entry.result}, effects);
    } else {
      settle_verdict(entry, effects);
    }
  }
  want_turn(effects);
}

void MetadataMachine::settle_verdict(const TurnEntry& entry, MetadataEffects& effects) {
  const auto at = pending_.find(entry.token);
  if (at == pending_.end()) return;
  if (entry.token != own_registration) {
    if (!entry.verdict) return refuse(entry.token, entry.verdict.error(), effects);
    return finish(entry.token, entry.verdict, effects);
  }
  const CommandAnswer done = CommandDone{applied_, {}};
  settle_answer(entry.token, at->second, entry.verdict ? done : CommandRefused{applied_, entry.verdict.error()}, effects);
}

void MetadataMachine::leadership_confirmed(std::uint64_t token, const Result<Offset>& answer, MetadataEffects& effects) {
  const auto entries = std::move(confirming_.extract(token).mapped());
  for (const auto& entry : entries) {
    const auto at = pending_.find(entry.token);
    if (at == pending_.end()) continue;
    answer ? settle_verdict(entry, effects) : retry_later(entry.token, at->second);
  }
}

/// Nothing of it was written, and nothing will be: it comes first in the next turn, here or elsewhere.
void MetadataMachine::turn_dropped(MetadataEffects& effects) {
  const auto turn = *std::exchange(turn_, std::nullopt);
  for (auto entry = turn.entries.rbegin(); entry != turn.entries.rend(); ++entry) {
    const auto at = pending_.find(entry->token);
    if (at == pending_.end()) continue;
    wait(entry->token, at->second);
    if (!deciding_) continue;
    waiting_.erase(entry->token);
    at->second.stage = Stage::queued;
    queue_.push_front(entry->token);
  }
  if (!deciding_) route_waiting(effects);
}

/// Nothing of it was written, and nothing like it can be now.
void MetadataMachine::turn_refused(const Error& error, MetadataEffects& effects) {
  for (const auto& entry : turn_->entries) {
    const auto at = pending_.find(entry.token);
    if (at == pending_.end() || !entry.writes) continue;
    settle_answer(entry.token, at->second, CommandRefused{applied_, error}, effects);
  }
  turn_dropped(effects);  // of the others
}

/// A snapshot came in its place.
void MetadataMachine::turn_unknown(MetadataEffects& effects) {
  const auto turn = *std::exchange(turn_, std::nullopt);
  const Error error{Errc::request_timed_out, "a snapshot of another node took its place"};
  for (const auto& entry : turn.entries) {
    const auto at = pending_.find(entry.token);
    if (at == pending_.end()) continue;
    if (entry.writes && at->second.of_peer) {
      finish(entry.token, error, effects);
    } else if (entry.writes) {
      end_attempt(entry.token, at->second, error, effects);
    } else {
      wait(entry.token, at->second);
    }
  }
  route_waiting(effects);
}

// --- the disk

MetadataEffects MetadataMachine::disk_full(const std::optional<Error>& error, MonotonicMs now) {
  now_ = now;
  MetadataEffects effects;
  if (error && !disk_full_ && deciding_) {
    for (const auto token : std::exchange(queue_, {})) {
      if (token == own_registration) {
        queue_.push_back(token);
      } else {
        refuse(token, *error, effects);
      }
    }
  }
  disk_full_ = error;
  return effects;
}

}  // namespace troupe::metadata
