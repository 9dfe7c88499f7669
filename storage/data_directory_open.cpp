#include "storage/data_directory.hpp"

#include <algorithm>
#include <cstring>

#include <unistd.h>

#include "base/byte_codec.hpp"
#include "base/log.hpp"
#include "storage/checkpoints.hpp"
#include "storage/paths.hpp"

/// How a data directory is opened: whose it is, what lies in it, and what the commit log adds to it. The rest of the class is in
/// data_directory.cpp.
namespace troupe::storage {
namespace {

constexpr auto owner_magic = static_cast<std::uint32_t>(CheckpointMagic::owner);
using Owner = DataDirectory::Owner;

Uuid read_uuid(ByteReader& in) {
  std::array<std::uint8_t, 16> bytes{};
  if (const auto view = in.bytes(bytes.size())) std::memcpy(bytes.data(), view->data(), bytes.size());
  return Uuid{bytes};
}

ByteBuffer encode_owner(const Owner& owner) {
  ByteBuffer bytes;
  ByteWriter out{bytes};
  out.bytes(std::as_bytes(std::span{owner.cluster_id.bytes()}));
  out.bytes(std::as_bytes(std::span{owner.directory_id.bytes()}));
  out.integer(owner.node_id.value());
  return bytes;
}

std::optional<Owner> decode_owner(ByteView bytes) {
  ByteReader in{bytes};
  Owner owner;
  owner.cluster_id = read_uuid(in);
  owner.directory_id = read_uuid(in);
  const auto node_id = in.integer<std::int32_t>();
  if (!node_id || in.remaining() != 0) return std::nullopt;
  owner.node_id = BrokerId{*node_id};
  return owner;
}

std::optional<PartitionId> parse_partition(std::string_view name) {
  if (name.empty() || name.size() > 9 || (name.size() > 1 && name[0] == '0')) return std::nullopt;
  std::int32_t value = 0;
  for (const char c : name) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return PartitionId{value};
}

Offset end_of(const PlacedBatch& batch) {
  const auto header = record::parse_batch_header(batch.batch);
  return header ? header->next_offset() : batch.base_offset;
}

/// Whether the batch lies in the log as the commit log has it, or as compaction left it. That the disk does not answer says neither (S8).
Result<bool> holds(const PartitionLog& log, const PlacedBatch& batch) {
  const auto slice = log.view().read(batch.base_offset, batch.batch.size());
  if (!slice && slice.error().code != Errc::corrupt_message) return slice.error();
  if (!slice || slice->batches.empty()) return false;
  const auto found = slice->batches.view();
  if (found.size() >= batch.batch.size() && std::ranges::equal(found.first(batch.batch.size()), batch.batch.view()))
    return true;
  const auto header = record::parse_batch_header(found);
  const auto original = record::parse_batch_header(batch.batch);
  return header && original && record::may_be_compacted_form(*header, *original);
}

/// The end of the tail that has no holes: where a topic's flush policy was changed, batches before may not be in the commit log.
std::span<const PlacedBatch> unbroken(const CommittedTail& tail) {
  auto first = tail.batches.size();
  while (first > 0 && (first == tail.batches.size() || end_of(tail.batches[first - 1]) == tail.batches[first].base_offset))
    --first;
  return std::span{tail.batches}.subspan(first);
}

}  // namespace

DataDirectory::DataDirectory(FileSystem& file_system, Options options, std::unique_ptr<SyncBarrier> barrier,
                             Manifest manifest)
    : file_system_(file_system),
      options_(std::move(options)),
      files_(std::make_shared<OpenFiles>(file_system, std::move(barrier), options_.open_files_max)),
      manifest_(std::move(manifest)) {}

DataDirectory::~DataDirectory() = default;

Result<DataDirectory::Opened> DataDirectory::open(FileSystem& file_system, Options options) {
  TROUPE_TRY(create_directories_durably(file_system, options.path));
  TROUPE_TRY_ASSIGN(auto lock, file_system.lock(options.path + "/lock", "pid " + std::to_string(::getpid()) + "\n"));
  TROUPE_TRY_ASSIGN(auto barrier, file_system.open_barrier(options.path));
  TROUPE_TRY_ASSIGN(auto manifest, Manifest::open(file_system, options.path + "/manifest"));
  Opened opened;
  opened.directory.reset(new DataDirectory(file_system, std::move(options), std::move(barrier), std::move(manifest)));
  auto& self = *opened.directory;
  self.lock_ = std::move(lock);
  TROUPE_TRY(self.check_owner());
  TROUPE_TRY(self.read_checkpoints(opened.findings));
  TROUPE_TRY(self.reconcile(opened.findings));
  // What a killed process left in the page cache, directories and deletions included, is built upon from here on: a directory
  // that exists is not made, and so not synced, a second time.
  TROUPE_TRY(self.files_->sync_file_system());
  TROUPE_TRY(self.recover_commit_log(opened));
  // Only now does nothing speak of them any more.
  if (const auto removed = self.manifest_.with(Manifest::State::removed); !removed.empty()) {
    for (const auto& id : removed) self.manifest_.forget(id);
    TROUPE_TRY(self.manifest_.rewrite());
  }
  opened.partitions = self.partitions().size();
  for (const auto& finding : opened.findings) log::warn("data directory", {log::kv("finding", finding)});
  return opened;
}

Result<std::optional<DataDirectory::Owner>> DataDirectory::owner_of(FileSystem& file_system, const std::string& path) {
  const auto file = path + "/owner";
  auto read = read_checkpoint(file_system, file, owner_magic);
  if (!read && read.error().code == Errc::corrupt_message) {
    // Identity cannot be derived from anything: without it nobody may write here.
    return Error{Errc::wrong_owner, file + " is damaged (" + read.error().message + "); restore it or move the directory"};
  }
  if (!read) return std::move(read).error();
  if (!*read) return std::optional<Owner>{};
  const auto owner = decode_owner(**read);
  if (!owner) return Error{Errc::wrong_owner, file + " cannot be read"};
  return owner;
}

Status DataDirectory::check_owner() {
  TROUPE_TRY_ASSIGN(const auto owner, owner_of(file_system_, options_.path));
  if (owner) {
    if (options_.cluster_id && *options_.cluster_id != owner->cluster_id) {
      return Error{Errc::wrong_owner, options_.path + " belongs to cluster " + to_string(owner->cluster_id) +
                                          ", this is cluster " + to_string(*options_.cluster_id)};
    }
    if (options_.node_id != owner->node_id) {
      return Error{Errc::wrong_owner, options_.path + " belongs to node " + to_string(owner->node_id) + ", this is node " +
                                          to_string(options_.node_id)};
    }
    cluster_id_ = owner->cluster_id;
    directory_id_ = owner->directory_id;
    return ok();
  }
  if (!options_.cluster_id) {
    return Error{Errc::not_found, options_.path + " has no owner yet, and no cluster id was given to make it one"};
  }
  cluster_id_ = *options_.cluster_id;
  directory_id_ = options_.directory_id.is_nil() ? Uuid::random() : options_.directory_id;
  return write_checkpoint(file_system_, path("owner"), owner_magic,
                          encode_owner({cluster_id_, directory_id_, options_.node_id}));
}

Status DataDirectory::read_checkpoints(std::vector<std::string>& findings) {
  const auto read = [&](const char* name, CheckpointMagic magic,
                        std::unordered_map<TopicIdPartition, Offset>& into) -> Status {
    auto offsets = read_offsets(file_system_, path(name), magic);
    if (!offsets && offsets.error().code == Errc::corrupt_message) {
      findings.push_back(std::string(name) + " is damaged and is rebuilt: " + offsets.error().message);
      return ok();
    }
    if (!offsets) return std::move(offsets).error();
    if (*offsets) into.insert((*offsets)->begin(), (*offsets)->end());
    return ok();
  };
  TROUPE_TRY(read("recovery-points", CheckpointMagic::recovery_points, recovery_points_));
  TROUPE_TRY(read("log-start-offsets", CheckpointMagic::log_start_offsets, log_starts_));
  TROUPE_TRY(read("cleaned-offsets", CheckpointMagic::cleaned_offsets, cleaned_));
  return read("high-watermarks", CheckpointMagic::high_watermarks, high_watermarks_);
}

/// Holds the manifest against what lies on disk: adopts what it does not know, finishes deletions.
Status DataDirectory::reconcile(std::vector<std::string>& findings) {
  if (manifest_.damaged()) findings.push_back("the manifest is damaged and is completed from the directories");
  bool changed = manifest_.damaged();
  TROUPE_TRY(create_directories_durably(file_system_, path("partitions")));
  TROUPE_TRY_ASSIGN(const auto topics, file_system_.list(path("partitions")));
  std::vector<TopicIdPartition> found;
  for (const auto& topic : topics) {
    const auto topic_id = Uuid::parse(topic.name);
    if (!topic_id || topic.type != EntryType::directory) {
      findings.push_back("unknown entry partitions/" + topic.name + " is left alone");
      continue;
    }
    TROUPE_TRY_ASSIGN(const auto partitions, file_system_.list(path("partitions/" + topic.name)));
    for (const auto& entry : partitions) {
      const auto partition = parse_partition(entry.name);
      if (!partition || entry.type != EntryType::directory) {
        findings.push_back("unknown entry partitions/" + topic.name + "/" + entry.name + " is left alone");
        continue;
      }
      found.push_back({*topic_id, *partition});
    }
  }
  for (const auto& id : found) {
    const auto state = manifest_.state(id);
    if (!state) {
      findings.push_back("partition " + to_string(id) + " was not in the manifest and is taken into it");
      TROUPE_TRY(manifest_.note(id, Manifest::State::written));
      changed = true;
    } else if (*state == Manifest::State::removed) {
      TROUPE_TRY(remove_tree(file_system_, location(id).directory));
      changed = true;
    }
  }
  return changed ? manifest_.rewrite() : ok();
}

LogLocation DataDirectory::location(const TopicIdPartition& id) const {
  return {path("partitions/" + to_string(id)), path("quarantine/" + to_string(id.topic_id) + "-" + to_string(id.partition))};
}

LogExpectation DataDirectory::expectation(const TopicIdPartition& id, const CommittedTail* tail) const {
  const auto known = [&](const auto& offsets) {
    const auto at = offsets.find(id);
    return at == offsets.end() ? Offset{0} : at->second;
  };
  LogExpectation expected;
  expected.recovery_point = known(recovery_points_);
  expected.log_start_offset = known(log_starts_);
  expected.was_written = manifest_.state(id) == Manifest::State::written;
  if (tail != nullptr) {
    expected.recovery_point = std::min(expected.recovery_point, tail->lowest_cut);
    if (const auto batches = unbroken(*tail); !batches.empty()) {
      expected.commit_log_from = batches.front().base_offset;
      expected.durable_end = end_of(batches.back());
    }
  }
  expected.durable_end = std::max(expected.durable_end, expected.recovery_point);
  return expected;
}

Status DataDirectory::recover_commit_log(Opened& opened) {
  TROUPE_TRY_ASSIGN(auto recovered,
                    CommitLog::open(file_system_, {path("commit"), options_.commit_file_bytes, options_.commit_grow_bytes}));
  commit_log_ = std::move(recovered.log);
  bool all_restored = true;
  if (recovered.damage) {
    all_restored = false;
    opened.findings.push_back("the commit log is damaged: " + *recovered.damage);
    log::error("commit log damaged", {log::kv("reason", *recovered.damage)});
  }
  for (const auto& [id, tail] : recovered.tails) {
    // No state means that the manifest lost it; the batches are proof that it was written.
    if (manifest_.state(id) == Manifest::State::removed) continue;
    if (!manifest_.state(id)) {
      if (tail.batches.empty()) continue;
      opened.findings.push_back("partition " + to_string(id) + " is restored from the commit log into the manifest");
      TROUPE_TRY(manifest_.note(id, Manifest::State::written));
    }
    TROUPE_TRY_ASSIGN(const auto restored, restore(id, tail));
    opened.repaired_batches += restored;
    const auto& log = *entries_.at(id).log;
    if (log.health().kind != LogHealth::Kind::good) {
      opened.findings.push_back("partition " + to_string(id) + " is " + std::string(to_string(log.health().kind)) +
                                " from offset " + to_string(log.health().from) + ": " + log.health().reason);
    }
    all_restored = all_restored && log.health().can_append();
  }
  TROUPE_TRY(manifest_.sync());
  TROUPE_TRY(checkpoint_logs());
  if (!all_restored) {
    opened.findings.push_back("the commit log of the last run is kept in quarantine");
    return commit_log_->move_recovered_files(path("quarantine/commit"));
  }
  return commit_log_->release_all();
}

/// Appends to a log what its segments lack of its tail.
Result<std::size_t> DataDirectory::restore(const TopicIdPartition& id, const CommittedTail& tail) {
  TROUPE_TRY_ASSIGN(auto* entry, open_log(id, LogConfig{}, &tail));
  auto& log = *entry->log;
  // Whatever it found: these records were given up, and which of them are gone already nobody knows.
  if (tail.reset_to) TROUPE_TRY(log.reset_to(*tail.reset_to));
  std::size_t restored = 0;
  // Two accounts of one log that do not fit: that log waits for people, the others go on.
  const auto give_up = [&](const Error& error) {
    log.fail("the commit log does not continue the segments: " + error.message);
    // Or the next start would find a log that is short, and good.
    recovery_points_[id] = expectation(id, &tail).durable_end;
  };
  for (const auto& batch : unbroken(tail)) {
    if (!log.health().can_append()) break;
    if (batch.base_offset < log.log_end_offset()) {
      if (batch.base_offset < log.log_start_offset()) continue;
      TROUPE_TRY_ASSIGN(const bool held, holds(log, batch));
      if (held) continue;
      // A flipped epoch passes every checksum, and keeps the batches behind it out.
      log::warn("batch differs from the commit log and is replaced",
                {log::kv("partition", id), log::kv("offset", batch.base_offset)});
      if (auto cut = log.truncate_to(batch.base_offset); !cut) {
        if (cut.error().code != Errc::invalid_argument) return std::move(cut).error();
        give_up(cut.error());
        break;
      }
    }
    if (auto appended = log.append(std::span{&batch, 1}); !appended) {
      if (appended.error().code != Errc::invalid_argument) return std::move(appended).error();
      give_up(appended.error());
      break;
    }
    ++restored;
  }
  // All that is left lies below the log start: the log goes on where it starts.
  if (log.health().can_append() && log.log_end_offset() < log.log_start_offset())
    TROUPE_TRY(log.reset_to(log.log_start_offset()));
  if (log.dirty()) note_dirty(id, *entry);
  return restored;
}

Result<DataDirectory::Entry*> DataDirectory::open_log(const TopicIdPartition& id, const LogConfig& config,
                                                      const CommittedTail* tail) {
  const auto expected = expectation(id, tail);
  TROUPE_TRY_ASSIGN(auto log, PartitionLog::open(files_, location(id), config, expected));
  auto& entry = entries_[id];
  entry.log = std::move(log);
  // It stays so: the next start does not have this commit log to tell it what was promised.
  if (entry.log->health().kind == LogHealth::Kind::damaged) recovery_points_[id] = expected.durable_end;
  return &entry;
}

}  // namespace troupe::storage
