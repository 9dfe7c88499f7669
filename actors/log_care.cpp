#include "actors/log_care.hpp"

#include <caf/event_based_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "base/log.hpp"
#include "storage/checkpoints.hpp"

namespace troupe::actors {
namespace {

constexpr auto disk_timeout = std::chrono::seconds(60);
constexpr const char* known_logs_name = "known-logs";
constexpr auto known_logs_magic = static_cast<std::uint32_t>(storage::CheckpointMagic::known_logs);
/// A look asks no more of the disk: appends wait for each removal.
constexpr std::size_t removals_max = 16;

}  // namespace

LogCare::LogCare(caf::event_based_actor& self, const PartitionManagerOptions& options, PartitionRoles& roles)
    : self_(self), options_(options), roles_(roles), left_({.node = options.node_id, .grace_ms = options.left_log_ms}) {}

void LogCare::directory_opened() {
  recalled_ = false;
  listing_ = false;
  strays_due_ = true;
  const auto worker = options_.disk_worker();
  if (!worker) return;  // it will be opened again
  self_.request(worker, disk_timeout, ReadSideFile{known_logs_name, known_logs_magic})
      .then([this](const SideFile& file) { recalled(file); },
            [this](caf::error& error) {
              const auto reason = from_caf_error(error);
              if (reason.code == Errc::log_offline) return;
              // What is not known is not removed.
              log::warn("the list of known logs cannot be read and begins anew", {log::kv("error", reason)});
              recalled({});
            });
}

void LogCare::recalled(const SideFile& file) {
  if (file.payload) {
    if (const auto offsets = storage::decode_offsets(*file.payload)) {
      left_.recall({offsets->begin(), offsets->end()});
    } else {
      log::warn("the list of known logs cannot be read and begins anew", {log::kv("error", offsets.error())});
    }
  }
  recalled_ = true;
  look();
}

void LogCare::metadata_changed() {
  if (strays_due_) look();
}

void LogCare::look() {
  const auto worker = options_.disk_worker();
  if (!recalled_ || listing_ || !worker || roles_.broker_epoch() == no_broker_epoch) return;
  listing_ = true;
  self_.request(worker, disk_timeout, ListLogs{})
      .then([this](const DirectoryContents& contents) { listed(contents.partitions); },
            [this](caf::error&) { listing_ = false; });
}

void LogCare::listed(const std::vector<TopicIdPartition>& on_disk) {
  listing_ = false;
  const auto image = options_.images->get();
  auto findings = left_.look(*image, roles_.broker_epoch(), on_disk, now_of(self_));
  if (roles_.broker_epoch() == no_broker_epoch) return;
  if (std::exchange(strays_due_, false)) {
    for (const auto& id : findings.strays) quarantine(id);
  }
  std::size_t removals = 0;
  for (const auto& id : findings.remove) {
    if (roles_.holds(id)) continue;  // its actor is on its way out, or the manager has heard of less than the image says
    if (++removals > removals_max) break;
    remove(id);
  }
  if (findings.learned || store_failed_) store();
}

void LogCare::remove(const TopicIdPartition& id) {
  const auto worker = options_.disk_worker();
  if (!worker) return;
  const auto topic = options_.images->get()->find_topic(id.topic_id);
  log::info("a log that nobody needs here is removed",
            {log::kv("partition", id),
             log::kv("reason", topic ? "\"" + topic->name + "\" has it on other nodes" : "its topic was deleted")});
  roles_.forget_files(id);
  self_.request(worker, disk_timeout, RemoveLog{id, storage::DataDirectory::Removal::for_now})
      .then([](const Done&) {},
            [id](caf::error& error) {
              log::warn("a log that nobody needs here not removed",
                        {log::kv("partition", id), log::kv("error", from_caf_error(error))});
            });
}

void LogCare::quarantine(const TopicIdPartition& id) {
  const auto worker = options_.disk_worker();
  if (!worker) return;
  log::warn("a log without a topic goes to the quarantine", {log::kv("partition", id)});
  self_.request(worker, disk_timeout, QuarantineLog{id})
      .then([](const Done&) {},
            [id](caf::error& error) {
              log::warn("a log without a topic not moved to the quarantine",
                        {log::kv("partition", id), log::kv("error", from_caf_error(error))});
            });
}

void LogCare::store() {
  const auto worker = options_.disk_worker();
  if (!worker) return;
  const auto known = left_.known();
  store_failed_ = true;
  self_
      .request(worker, disk_timeout,
               WriteSideFile{known_logs_name, known_logs_magic,
                             Bytes::adopt(storage::encode_offsets({known.begin(), known.end()}))})
      .then([this](const Done&) { store_failed_ = false; },
            [](caf::error&) {});  // a log that is not known is moved aside instead of removed; again with the next look
}

}  // namespace troupe::actors
