#include "core/metadata/metadata_machine.hpp"

#include <algorithm>

namespace troupe::metadata {
namespace {

/// What a snapshot changes in an image that it takes the place of.
DeltaPtr difference(const ImagePtr& before, ImagePtr after) {
  auto delta = std::make_shared<ImageDelta>();
  delta->before = before;
  for (const auto& topic : after->topics()) {
    const auto known = before->find_topic(topic->id);
    if (!known) {
      delta->created.push_back(topic);
    } else if (*known != *topic) {
      delta->changed.push_back(topic);
    }
  }
  for (const auto& topic : before->topics()) {
    if (!after->find_topic(topic->id)) delta->deleted.push_back(topic);
  }
  delta->after = std::move(after);
  return delta;
}

}  // namespace

MetadataMachine::MetadataMachine(Options options) : options_(std::move(options)) { TROUPE_ASSERT(options_.new_uuid); }

// --- the disk, and the quorum's replica on it

MetadataEffects MetadataMachine::opened(const ImagePtr& image, Offset log_end_offset, MonotonicMs now) {
  now_ = now;
  MetadataEffects effects;
  if (failed_) return effects;
  const auto end = std::max(log_end_offset, image ? image->applied() : Offset{0});
  if (end < applied_) {
    fail({Errc::corrupt_message, "the metadata log ends at " + to_string(end) + ", before " + to_string(applied_) +
                                     ", below which all was committed"},
         effects);
    return effects;
  }
  if (leader_ == BrokerId{-1} && !leaderless_since_) leaderless_since_ = now_;
  if (image && image->applied() > applied_) install(image, effects);
  if (!failed_ && !ready_ && !pending_.contains(own_registration)) ask_for_registration(effects);
  return effects;
}

MetadataEffects MetadataMachine::lost(MonotonicMs now) { return leader_changed(BrokerId{-1}, now); }

MetadataEffects MetadataMachine::installed(const ImagePtr& image, MonotonicMs now) {
  now_ = now;
  MetadataEffects effects;
  if (!failed_ && image->applied() > applied_) install(image, effects);
  return effects;
}

void MetadataMachine::install(const ImagePtr& image, MetadataEffects& effects) {
  if (!cluster_id_.is_nil() && !image->cluster_id().is_nil() && image->cluster_id() != cluster_id_) {
    return fail({Errc::wrong_owner, "the metadata snapshot is of cluster " + to_string(image->cluster_id()) +
                                        ", this node of cluster " + to_string(cluster_id_)},
                effects);
  }
  builder_.reset();
  applied_ = image->applied();
  drains_.begin_at(applied_);
  snapshot_at_ = applied_;
  show(difference(image_, ImageBuilder{image}.finish(applied_, leader_).after), effects);
  if (turn_ && turn_->place.base_offset < applied_) turn_unknown(effects);
  settle_applied(effects);
}

MetadataEffects MetadataMachine::leader_changed(BrokerId leader, MonotonicMs now) {
  now_ = now;
  MetadataEffects effects;
  if (failed_) return effects;
  leader_ = leader;
  if (leader_ != BrokerId{-1}) {
    leaderless_since_.reset();
  } else if (!leaderless_since_) {
    leaderless_since_ = now_;
  }
  if (!leads()) {
    deciding_ = false;
    for (const auto& [token, entries] : std::exchange(confirming_, {})) {
      for (const auto& entry : entries) {
        if (const auto at = pending_.find(entry.token); at != pending_.end()) wait(entry.token, at->second);
      }
    }
    for (const auto token : std::exchange(queue_, {})) {
      if (const auto at = pending_.find(token); at != pending_.end()) wait(token, at->second);
    }
  }
  std::vector<std::uint64_t> elsewhere;
  for (const auto& [call, token] : calls_) {
    const auto& pending = pending_.at(token);
    if (leader_ != BrokerId{-1} && pending.asked != leader_ && may_repeat(pending)) elsewhere.push_back(token);
  }
  for (const auto token : elsewhere) {
    end_attempt(token, pending_.at(token), {Errc::request_timed_out, "another node has become the controller"}, effects);
  }
  route_waiting(effects);
  if (ready_) show(effects);
  return effects;
}

MetadataEffects MetadataMachine::ready_to_lead(MonotonicMs now) {
  now_ = now;
  MetadataEffects effects;
  if (failed_) return effects;
  deciding_ = leads();
  route_waiting(effects);
  return effects;
}

// --- the image

MetadataEffects MetadataMachine::delivered(const std::vector<quorum::LogEntry>& entries, MonotonicMs now) {
  now_ = now;
  MetadataEffects effects;
  for (const auto& entry : entries) {
    if (failed_) return effects;
    if (entry.end_offset() <= applied_) continue;  // replayed after the disk was opened again
    if (auto applied = apply(entry, effects); !applied) fail(applied.error(), effects);
  }
  if (failed_) return effects;
  if (ready_) show(effects);
  settle_applied(effects);
  want_turn(effects);
  return effects;
}

Status MetadataMachine::apply(const quorum::LogEntry& entry, MetadataEffects& effects) {
  if (entry.base_offset != applied_) {
    return Error{Errc::corrupt_message, "metadata: " + to_string(entry.base_offset) + " was delivered, all below " +
                                            to_string(applied_) + " is applied"};
  }
  const bool in_place_of_turn = turn_ && turn_->place.base_offset < entry.end_offset();
  const bool is_turn = in_place_of_turn && turn_->place == quorum::QuorumNode::Place{entry.base_offset, entry.epoch};
  applied_ = entry.end_offset();
  if (is_turn && !builder_ && image_ == turn_->delta->before) {
    show(turn_->delta, effects);
  } else if (entry.kind == quorum::EntryKind::data) {
    if (!builder_) builder_.emplace(image_);
    TROUPE_TRY(builder_->apply_batches(entry.payload, entry.base_offset));
    const auto& of = builder_->image().cluster_id();
    if (!cluster_id_.is_nil() && !of.is_nil() && of != cluster_id_) {
      return Error{Errc::wrong_owner,
                   "the metadata is of cluster " + to_string(of) + ", this node of cluster " + to_string(cluster_id_)};
    }
  }
  if (is_turn) {
    turn_committed(effects);
  } else if (in_place_of_turn) {
    turn_dropped(effects);
  }
  return ok();
}

/// All that was applied becomes the image. Before this node is ready nobody sees it, and one image for the whole replay is enough.
void MetadataMachine::show(MetadataEffects& effects) {
  if (!builder_ && image_->applied() == applied_ && image_->controller_id() == leader_) return;
  if (!builder_) builder_.emplace(image_);
  const auto delta = std::make_shared<const ImageDelta>(builder_->finish(applied_, leader_));
  builder_.reset();
  show(delta, effects);
}

void MetadataMachine::show(const DeltaPtr& delta, MetadataEffects& effects) {
  image_ = delta->after;
  drains_.note(*delta);
  if (ready_) effects.emplace_back(PublishMetadata{delta});
  consider_snapshot(effects);
}

void MetadataMachine::fail(Error error, MetadataEffects& effects) {
  failed_ = true;
  effects.emplace_back(FailMetadata{std::move(error)});
}

// --- snapshots

void MetadataMachine::consider_snapshot(MetadataEffects& effects) {
  if (snapshot_on_its_way_ || image_->applied() - snapshot_at_ < options_.snapshot_records_min) return;
  snapshot_at_ = image_->applied();
  snapshot_on_its_way_ = true;
  effects.emplace_back(TakeSnapshot{image_});
}

MetadataEffects MetadataMachine::snapshot_written(const Status& status) {
  snapshot_on_its_way_ = false;
  if (status) return {};
  return {
      NoteMetadata{"the metadata snapshot was not written, the log goes on from the one before: " + status.error().message}};
}

// --- time

std::optional<MonotonicMs> MetadataMachine::next_deadline() const {
  std::optional<MonotonicMs> next;
  const auto consider = [&](std::optional<MonotonicMs> time) {
    if (time && (!next || *time < *next)) next = time;
  };
  consider(retry_at_);
  consider(register_at_);
  consider(next_given_up());
  if (!deadlines_.empty()) consider(deadlines_.begin()->first);
  return next;
}

MetadataEffects MetadataMachine::on_deadline(MonotonicMs now) {
  now_ = now;
  MetadataEffects effects;
  if (failed_) return effects;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto token = deadlines_.begin()->second;
    const auto& pending = pending_.at(token);
    const bool nothing = !pending.uncertain && (pending.stage == Stage::waiting || pending.stage == Stage::queued ||
                                                pending.stage == Stage::confirming);
    finish(token,
           nothing ? Error{Errc::leader_not_available,
                           "the metadata has no controller, or its disk does not answer:"
                           " nothing was changed, try again"}
                   : Error{Errc::request_timed_out,
                           "the change of the metadata was not committed in time: the outcome"
                           " is unknown"},
           effects);
  }
  give_up_waiting(effects);
  if (retry_at_ && *retry_at_ <= now) {
    retry_at_.reset();
    route_waiting(effects);
    want_turn(effects);
  }
  if (register_at_ && *register_at_ <= now) {
    register_at_.reset();
    if (!ready_ && !pending_.contains(own_registration)) ask_for_registration(effects);
  }
  return effects;
}

}  // namespace troupe::metadata
