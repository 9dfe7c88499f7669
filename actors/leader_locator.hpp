#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "actors/image_holder.hpp"
#include "actors/partition_directory.hpp"

namespace troupe::actors {

/// Where partition leaders are found, on this node or on others. Any thread.
///
/// A leader on another node is a stand-in on this one (remote_leader), made when it is first asked for. It is held strongly until it ends
/// or another leader takes its place; as with the directory, whoever sends to it monitors it.
class LeaderLocator {
 public:
  using Entry = PartitionDirectory::Entry;
  struct Remote {
    TopicIdPartition partition = {};
    std::string topic = {};
    BrokerId broker = no_broker;
    LeaderEpoch epoch{0};
    std::function<void(caf::actor_id)> on_end =
        {};  ///< the stand-in calls it when it ends, in whatever way; any thread, any time
  };
  /// Makes a stand-in.
  using Spawn = std::function<caf::actor(const Remote&)>;

  /// `directory` outlives this. Without `spawn` there are no other nodes.
  LeaderLocator(BrokerId self, const PartitionDirectory* directory, std::shared_ptr<const ImageHolder> images, Spawn spawn)
      : self_(self), directory_(directory), images_(std::move(images)), spawn_(std::move(spawn)) {}
  ~LeaderLocator();
  LeaderLocator(const LeaderLocator&) = delete;
  LeaderLocator& operator=(const LeaderLocator&) = delete;

  /// nullopt: the partition has no leader now, or it is this node's and not there yet.
  std::optional<Entry> find(const TopicIdPartition& partition);
  /// The partition has a leader, as far as this node knows; nothing is made.
  bool knows(const TopicIdPartition& partition) const;
  /// As `find`, of what is there already.
  std::optional<Entry> known(const TopicIdPartition& partition) const;

  // --- followers on this node, which serve what they know to be committed

  void set_follower(const TopicIdPartition& partition, caf::actor follower);
  void remove_follower(const TopicIdPartition& partition);
  /// Null: none.
  caf::actor follower(const TopicIdPartition& partition) const;
  /// Who has the partition's news for listeners on this node: its leader, if that is here; else the follower here, if it is in sync, or if
  /// nobody leads; else the leader. Null: nobody.
  caf::actor tail_source(const TopicIdPartition& partition);
  /// Ends the stand-ins of those who lead no more.
  void on_image(const metadata::MetadataImage& image);
  /// Ends all.
  void clear();
  std::size_t stand_ins() const;

 private:
  struct StandIn {
    caf::actor actor;
    BrokerId broker = no_broker;
    LeaderEpoch epoch{0};
  };

  struct Table {
    mutable std::mutex mutex;
    std::unordered_map<TopicIdPartition, StandIn> stand_ins;
    std::unordered_map<TopicIdPartition, caf::actor> followers;

    void ended(const TopicIdPartition& partition, caf::actor_id stand_in);
  };

  const BrokerId self_;
  const PartitionDirectory* const directory_;
  const std::shared_ptr<const ImageHolder> images_;
  const Spawn spawn_;
  const std::shared_ptr<Table> table_ = std::make_shared<Table>();
};

}  // namespace troupe::actors
