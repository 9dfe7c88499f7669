#include "core/consumer/rest_instance.hpp"

#include <algorithm>
#include <set>

#include "core/group/group_instances.hpp"
#include "core/group/group_rules.hpp"

namespace troupe::consumer {
namespace {

constexpr std::int64_t any_number = std::int64_t{1} << 40;

Error illegal(const std::string& what) { return {Errc::conflict, "Illegal state: " + what}; }
Error exclusive() { return illegal("Subscription to topics, partitions and pattern are mutually exclusive."); }
Error reads_nothing() { return illegal("the consumer has no subscription and no assignment"); }

}  // namespace

// --- what it reads --------------------------------------------------------------------------------------------------------------------

void RestInstance::open(ConsumerOptions options, Effects& effects) {
  options.group = options_.group;
  options.reset = options_.reset;
  options.auto_commit = options_.auto_commit;
  options.release_ms_max = release_ms_max;
  options.credit = {any_number, window_bytes};
  options.fetch_bytes_max = static_cast<std::size_t>(window_bytes);
  ++run_;
  if (leaving_run_) {
    next_ = std::move(options);
  } else {
    effects.open = std::move(options);
  }
}

void RestInstance::end(Effects& effects) {
  failed_.reset();
  if (mode_ == Mode::nothing) return;
  consume_shown(effects);
  for (const auto& [id, part] : parts_) {
    if (part.leaving) effects.released.push_back(id);
  }
  parts_.clear();
  buffered_.clear();
  buffered_bytes_ = 0;
  paused_ = false;
  unsure_ = false;
  mode_ = Mode::nothing;
  reading_ = {};
  if (!std::exchange(next_, std::nullopt)) {
    effects.end = true;
    if (!closed_) leaving_run_ = run_;
  }
  closed_ = false;
  ++run_;
}

Status RestInstance::take_over(const RestReading& reading, Effects& effects) {
  blind_ = true;
  if (!reading.partitions.empty()) return assign(reading.partitions, effects);
  if (reading.topics.empty() && reading.pattern.empty()) return ok();
  return subscribe(reading.topics, reading.pattern, effects);
}

Status RestInstance::subscribe(std::vector<std::string> topics, std::string pattern, Effects& effects) {
  if (mode_ == Mode::assigned) return exclusive();
  group::MemberProfile profile;
  std::ranges::sort(topics);
  topics.erase(std::unique(topics.begin(), topics.end()), topics.end());
  profile.topics = std::move(topics);
  profile.pattern = std::move(pattern);
  profile.client_id = options_.name;
  profile.instance_id = group::member_instance_of(options_.name);
  TROUPE_TRY(group::check_profile(profile, {}));
  RestReading reading{profile.topics, profile.pattern, {}};
  if (mode_ == Mode::subscribed && !failed_) {
    reading_ = std::move(reading);
    if (next_) {
      next_->profile = std::move(profile);
    } else {
      effects.change = std::move(profile);
    }
    return ok();
  }
  end(effects);
  ConsumerOptions options;
  options.profile = std::move(profile);
  open(std::move(options), effects);
  mode_ = Mode::subscribed;
  reading_ = std::move(reading);
  return ok();
}

void RestInstance::unsubscribe(Effects& effects) { end(effects); }

Status RestInstance::assign(const std::vector<NamedPartition>& partitions, Effects& effects) {
  if (mode_ == Mode::subscribed) return exclusive();
  end(effects);
  if (partitions.empty()) return ok();
  ConsumerOptions options;
  for (const auto& [id, topic] : partitions) parts_[id] = {.topic = topic};
  for (const auto& [id, part] : parts_) {
    options.partitions.push_back(id);
    reading_.partitions.emplace_back(id, part.topic);
  }
  open(std::move(options), effects);
  mode_ = Mode::assigned;
  return ok();
}

std::vector<std::string> RestInstance::subscription() const {
  if (mode_ != Mode::subscribed) return {};
  std::set<std::string> topics(reading_.topics.begin(), reading_.topics.end());
  for (const auto& [id, part] : parts_) topics.insert(part.topic);
  return {topics.begin(), topics.end()};
}

std::vector<RestInstance::Named> RestInstance::assignment() const {
  std::vector<Named> all;
  for (const auto& [id, part] : parts_) {
    if (!part.leaving) all.emplace_back(part.topic, id.partition);
  }
  std::ranges::sort(all);
  return all;
}

void RestInstance::close(Effects& effects) {
  end(effects);
  failed_ = Error{Errc::not_found, "Consumer instance not found."};
}

// --- what it is told ------------------------------------------------------------------------------------------------------------------

void RestInstance::on_event(std::uint64_t run, ConsumerEvent event, Effects& effects) {
  if (leaving_run_ == run && std::holds_alternative<ConsumerClosed>(event)) {
    leaving_run_.reset();
    if (next_) effects.open = std::exchange(next_, std::nullopt);
    return;
  }
  if (run != run_) return;
  std::visit([&](auto& one) { take(std::move(one), effects); }, event);
}

void RestInstance::take(ConsumerAssigned event, Effects& effects) {
  for (auto& one : event.partitions) {
    drop_records(one.partition, effects);
    auto& part = parts_[one.partition];
    part.topic = std::move(one.topic);
    part.placed = true;
    part.leaving = false;
    part.position = one.next;
    part.shown.reset();
    part.shown_from.reset();
    if (part.target) effects.seeks.emplace_back(one.partition, *part.target);
    // "From now on" is a place that whoever comes after it has to know.
    if (one.chosen && options_.reset == OffsetReset::latest) effects.commit.emplace_back(one.partition, one.next);
  }
}

void RestInstance::take(ConsumerRevoking event, Effects& effects) {
  for (const auto& id : event.partitions) {
    drop_records(id, effects);
    parts_[id].leaving = true;
  }
  release_settled(effects);
}

void RestInstance::take(ConsumerRecords event, Effects& effects) {
  const auto bytes = static_cast<std::int64_t>(event.batches.size());
  const auto found = parts_.find(event.partition);
  if (found == parts_.end() || found->second.target || found->second.leaving) {
    effects.credit_bytes += bytes;
    return;
  }
  buffered_bytes_ += bytes;
  buffered_.push_back(std::move(event));
}

void RestInstance::take(ConsumerReset event, Effects& effects) {
  const auto found = parts_.find(event.partition);
  if (found == parts_.end()) return;
  auto& part = found->second;
  drop_records(event.partition, effects);
  part.position = event.to;
  part.shown.reset();
  part.shown_from.reset();
  // Its own answer comes after the event: records from here on are those that were asked for.
  if (event.reason == ConsumerReset::Reason::seek) part.target.reset();
}

void RestInstance::take(ConsumerFailed event, Effects& /*effects*/) {
  buffered_.clear();
  buffered_bytes_ = 0;
  parts_.clear();
  failed_ = std::move(event.error);
}

void RestInstance::take(ConsumerClosed /*event*/, Effects& /*effects*/) {
  closed_ = true;
  if (!failed_) failed_ = Error{Errc::coordinator_not_available, "the consumer has ended: subscribe again"};
}

void RestInstance::drop_records(const TopicIdPartition& id, Effects& effects) {
  std::int64_t bytes = 0;
  std::erase_if(buffered_, [&](const ConsumerRecords& records) {
    if (records.partition != id) return false;
    bytes += static_cast<std::int64_t>(records.batches.size());
    return true;
  });
  buffered_bytes_ -= bytes;
  effects.credit_bytes += bytes;
}

void RestInstance::forget(const group::PartitionList& partitions, Effects& effects) {
  for (const auto& id : partitions) {
    drop_records(id, effects);
    parts_.erase(id);
  }
}

void RestInstance::consume_shown(Effects& effects) {
  for (auto& [id, part] : parts_) {
    if (part.shown && options_.auto_commit) effects.consumed.emplace_back(id, *part.shown);
    part.shown.reset();
  }
}

void RestInstance::release_settled(Effects& effects) {
  std::erase_if(parts_, [&](const Parts::value_type& one) {
    if (!one.second.leaving || one.second.shown) return false;
    effects.released.push_back(one.first);
    return true;
  });
}

// --- reads ----------------------------------------------------------------------------------------------------------------------------

void RestInstance::begin_read(Effects& effects) {
  if (std::exchange(unsure_, false)) go_back(effects);
  consume_shown(effects);
  release_settled(effects);
  for (auto& [id, part] : parts_) part.shown_from.reset();
  blind_ = false;
}

void RestInstance::answer_lost() { unsure_ = true; }

void RestInstance::go_back(Effects& effects) {
  for (auto& [id, part] : parts_) {
    if (!part.shown || !part.shown_from) continue;
    const SeekTarget target{.offset = *part.shown_from};
    part.shown.reset();
    // One that goes is read again by who gets it.
    if (!part.leaving) go_to(id, part, target, effects);
  }
}

bool RestInstance::has_enough() const {
  if (failed_) return true;
  if (paused_ || options_.fetch_bytes_min < 0) return false;
  return buffered_bytes_ >= std::clamp<std::int64_t>(options_.fetch_bytes_min, 1, window_bytes);
}

Result<std::size_t> RestInstance::show_records(const Show& show, Effects& effects) {
  if (failed_) return *failed_;
  std::size_t count = 0;
  if (paused_) return count;
  std::set<TopicIdPartition> stuck;
  std::optional<Error> first;
  for (auto at = buffered_.begin(); at != buffered_.end();) {
    if (stuck.contains(at->partition)) {
      ++at;
      continue;
    }
    const auto all = show_some(*at, show, count);
    if (all && !*all) break;
    if (!all) {
      if (!first) first = all.error();
      stuck.insert(at++->partition);
      continue;
    }
    const auto bytes = static_cast<std::int64_t>(at->batches.size());
    buffered_bytes_ -= bytes;
    effects.credit_bytes += bytes;
    at = buffered_.erase(at);
  }
  if (count == 0 && first) return *std::move(first);
  return count;
}

Result<bool> RestInstance::show_some(const ConsumerRecords& records, const Show& show, std::size_t& count) {
  auto& part = parts_.at(records.partition);
  const auto moved_to = [&](Offset position) {
    if (position <= part.position) return;
    if (!part.shown_from) part.shown_from = part.position;
    part.position = position;
    part.shown = position;
  };
  const auto refuse = [&](const record::RecordView& one, Errc code, const char* why) {
    return Error{code, "the record " + part.topic + "-" + to_string(records.partition.partition) + " " +
                           to_string(one.offset) + " " + why + ": seek past it"};
  };
  for (auto rest = records.batches.view(); !rest.empty();) {
    TROUPE_TRY_ASSIGN(const auto batch, record::parse_batch(rest));
    rest = rest.subspan(batch.bytes.size());
    if (batch.header.is_control() || batch.header.next_offset() <= part.position) continue;
    TROUPE_TRY_ASSIGN(const auto block, record::open_records(batch, {}));
    record::RecordReader reader(batch.header, block.bytes);
    while (const auto one = reader.next()) {
      if (one->offset < part.position) continue;
      switch (show(part.topic, records.partition.partition, *one)) {
        case Shown::full: return false;
        case Shown::not_in_format: return refuse(*one, Errc::invalid_record, "is not of this instance's format");
        case Shown::too_large: return refuse(*one, Errc::message_too_large, "is larger than an answer can be");
        case Shown::yes: break;
      }
      ++count;
      moved_to(one->offset + 1);
    }
    TROUPE_TRY(reader.finish());
    moved_to(batch.header.next_offset());
  }
  moved_to(records.next);
  return true;
}

// --- positions ------------------------------------------------------------------------------------------------------------------------

Result<RestInstance::Positions> RestInstance::to_commit(std::optional<Positions> given) {
  if (failed_) return *failed_;
  if (mode_ == Mode::nothing) return reads_nothing();
  // Who commits has what was answered.
  unsure_ = false;
  if (given) return *std::move(given);
  if (blind_) {
    return illegal(
        "the instance has moved to another node, which does not know what was read: commit offsets, or read again");
  }
  Positions all;
  for (const auto& [id, part] : parts_) {
    if (part.placed && !part.target) all.emplace_back(id, part.position);
  }
  return all;
}

void RestInstance::on_committed(const std::vector<CommittedPosition>& positions, Effects& effects) {
  for (const auto& one : positions) {
    const auto found = parts_.find(one.partition);
    if (found == parts_.end() || !one.next) continue;
    found->second.shown.reset();
  }
  release_settled(effects);
}

void RestInstance::go_to(const TopicIdPartition& id, Part& part, const SeekTarget& target, Effects& effects) {
  drop_records(id, effects);
  part.target = target;
  part.shown.reset();
  part.shown_from.reset();
  if (part.placed) effects.seeks.emplace_back(id, target);
}

Status RestInstance::seek(const std::vector<Effects::Seek>& targets, Effects& effects) {
  if (failed_) return *failed_;
  if (mode_ == Mode::nothing) return reads_nothing();
  for (const auto& [id, target] : targets) {
    const auto found = parts_.find(id);
    if (found == parts_.end() || found->second.leaving) {
      return illegal("No current assignment for the partition " + to_string(id.partition) + ".");
    }
  }
  for (const auto& [id, target] : targets) go_to(id, parts_.at(id), target, effects);
  return ok();
}

void RestInstance::on_sought(std::uint64_t run, const TopicIdPartition& partition, const Result<Offset>& answer,
                             Effects& effects) {
  const auto found = parts_.find(partition);
  if (run != run_ || answer || found == parts_.end() || !found->second.target) return;
  // Nobody said that it is not its own any more, so it is: until it is there, nothing of it is shown.
  if (answer.error().code != Errc::fenced_member_epoch) effects.seeks.emplace_back(partition, *found->second.target);
}

bool RestInstance::settled() const {
  return std::ranges::none_of(parts_, [](const auto& one) { return one.second.placed && one.second.target; });
}

}  // namespace troupe::consumer
