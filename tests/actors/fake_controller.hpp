#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/errors.hpp"
#include "actors/image_holder.hpp"
#include "actors/metadata_messages.hpp"
#include "actors/replica_messages.hpp"
#include "core/metadata/image_builder.hpp"
#include "core/metadata/isr_rules.hpp"
#include "tests/support/catch.hpp"

namespace troupe::test {

/// A plain, correct controller of a cluster in one process: it accepts ISR changes by epochs, registers brokers, moves leaders when the
/// test says so, and tells the nodes, all but those that are deaf.
class FakeController {
 public:
  struct Subscriber {
    caf::actor actor;
    std::shared_ptr<const metadata::MetadataImage> told = std::make_shared<const metadata::MetadataImage>();
    bool whole = true;  ///< it has heard nothing yet
  };
  struct Listener {
    std::shared_ptr<actors::ImageHolder> images;
    std::vector<Subscriber> subscribers = {};
  };

  void join(BrokerId id, std::shared_ptr<actors::ImageHolder> images) {
    listeners_[id] = Listener{.images = std::move(images)};
    register_run(id, Uuid{{static_cast<std::uint8_t>(id.value()), static_cast<std::uint8_t>(++runs_)}});
  }
  void leave(BrokerId id) { listeners_.erase(id); }
  void subscribe(BrokerId id, const caf::actor& actor) {
    auto& all = listeners_.at(id).subscribers;
    std::erase_if(all, [&](const Subscriber& one) { return one.actor == actor; });
    all.push_back({.actor = actor});
    tell(id);
  }

  // --- what brokers ask

  void register_run(BrokerId id, const Uuid& incarnation) {
    auto& run = registrations_[id];
    if (run.incarnation == incarnation) return;
    run = {.broker = {.id = id, .host = "localhost"}, .incarnation = incarnation, .broker_epoch = Offset{++applied_}};
    for (auto& [topic_id, topic] : topics_) {
      for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
        change({topic_id, PartitionId{static_cast<std::int32_t>(i)}}, [&](metadata::PartitionImage& one) {
          if (one.leader == id) ++one.leader_epoch;
        });
      }
    }
    publish();
  }

  metadata::AlterPartitionsAnswer alter(const metadata::AlterPartitionsRequest& request) {
    metadata::AlterPartitionsAnswer answers;
    for (const auto& proposal : request.proposals) answers.push_back(alter_one(proposal));
    publish();
    return answers;
  }

  metadata::ClusterAnswer give_up(const metadata::GiveUpReplicasRequest& request) {
    auto decision = metadata::decide_give_up(*image(), request);
    for (const auto& record : decision.records) {
      const auto& now = std::get<metadata::PartitionRecord>(record);
      change(
          {now.topic_id, now.partition},
          [&](metadata::PartitionImage& one) {
            one.leader = now.leader;
            one.leader_epoch = now.leader_epoch;
            one.isr = now.isr;
          },
          true);
    }
    publish();
    return std::move(decision.answer);
  }

  // --- what the test decides

  metadata::TopicPtr create(const std::string& name, std::vector<std::vector<BrokerId>> replicas,
                            const std::map<std::string, std::string>& config = {}) {
    metadata::TopicImage topic{.name = name, .id = TopicId{{0x70, static_cast<std::uint8_t>(topics_.size() + 1)}}};
    topic.config_overrides = config;
    topic.config = metadata::parse_topic_config(config).value();
    for (auto& brokers : replicas) {
      topic.partitions.push_back({.leader = brokers.front(), .replicas = brokers, .isr = brokers});
    }
    const auto made = std::make_shared<metadata::TopicImage>(std::move(topic));
    topics_[made->id] = made;
    publish();
    return made;
  }
  const metadata::PartitionImage& partition(const TopicIdPartition& id) const {
    return topics_.at(id.topic_id)->partitions.at(static_cast<std::size_t>(id.partition.value()));
  }
  metadata::TopicPtr topic(const TopicId& id) const { return topics_.at(id); }
  void elect(const TopicIdPartition& id, BrokerId leader) {
    change(id, [&](metadata::PartitionImage& one) {
      one.leader = leader;
      ++one.leader_epoch;
    });
    publish();
  }
  /// The broker is gone: out of every ISR of more than itself, and what it led is led by another member.
  void fence(BrokerId broker) {
    registrations_[broker].fenced = true;
    for (auto& [topic_id, topic] : topics_) {
      for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
        change({topic_id, PartitionId{static_cast<std::int32_t>(i)}}, [&](metadata::PartitionImage& one) {
          if (one.isr.size() > 1) std::erase(one.isr, broker);
          if (one.leader != broker || one.isr.front() == broker) return;
          one.leader = one.isr.front();
          ++one.leader_epoch;
        });
      }
    }
    publish();
  }
  void unfence(BrokerId broker) {
    registrations_[broker].fenced = false;
    publish();
  }
  /// Nodes that are up hear of it only as of a topic that is not there.
  void remove_topic(const TopicId& id) {
    topics_.erase(id);
    publish();
  }
  void set_replicas(const TopicIdPartition& id, std::vector<BrokerId> replicas) {
    change(id, [&](metadata::PartitionImage& one) {
      std::erase_if(one.isr, [&](BrokerId broker) { return std::ranges::find(replicas, broker) == replicas.end(); });
      one.replicas = std::move(replicas);
    });
    publish();
  }

  /// Hears of nothing, and its requests are lost, until it is no longer in here.
  void make_deaf(BrokerId id) { deaf_.insert(id); }
  void make_hear(BrokerId id) {
    deaf_.erase(id);
    tell(id);
  }
  bool is_deaf(BrokerId id) const { return deaf_.contains(id); }
  std::size_t alter_requests = 0;

 private:
  Result<metadata::PartitionImage> alter_one(const metadata::IsrProposal& proposal) {
    auto& one = topics_.at(proposal.partition.topic_id)
                    ->partitions.at(static_cast<std::size_t>(proposal.partition.partition.value()));
    if (one.leader_epoch != proposal.leader_epoch) return Error{Errc::fenced_leader_epoch, "another leader epoch"};
    if (one.partition_epoch != proposal.partition_epoch)
      return Error{Errc::invalid_update_version, "another partition epoch"};
    std::vector<BrokerId> isr;
    for (const auto& member : proposal.isr) {
      const auto& run = registrations_.at(member.broker);
      const bool other = member.broker_epoch != no_broker_epoch && member.broker_epoch.value() != run.broker_epoch.value();
      if (run.fenced || other) return Error{Errc::ineligible_replica, "fenced, or another run"};
      isr.push_back(member.broker);
    }
    // Also one that changes nothing has a partition epoch of its own: it makes older requests void.
    change(
        proposal.partition, [&](metadata::PartitionImage& changed) { changed.isr = isr; }, true);
    return partition(proposal.partition);
  }

  /// Topics are shared with images: a change makes a new one.
  template <class Change>
  void change(const TopicIdPartition& id, Change how, bool always = false) {
    auto& topic = topics_.at(id.topic_id);
    topic = std::make_shared<metadata::TopicImage>(*topic);
    auto& one = topic->partitions.at(static_cast<std::size_t>(id.partition.value()));
    const auto before = one;
    how(one);
    if (always || !(one == before)) ++one.partition_epoch;
  }
  metadata::ImagePtr image() {
    metadata::ImageBuilder builder(std::make_shared<const metadata::MetadataImage>());
    for (const auto& [id, run] : registrations_) {
      REQUIRE(builder.apply(metadata::BrokerRegisteredRecord{.id = id,
                                                             .incarnation = run.incarnation,
                                                             .host = run.broker.host,
                                                             .broker_epoch = run.broker_epoch,
                                                             .fenced = run.fenced},
                            Offset{0}));
    }
    for (const auto& [id, topic] : topics_) {
      REQUIRE(builder.apply(metadata::TopicRecord{id, topic->name}, Offset{0}));
      for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
        const auto& one = topic->partitions[i];
        REQUIRE(builder.apply(metadata::PartitionRecord{.topic_id = id,
                                                        .partition = PartitionId{static_cast<std::int32_t>(i)},
                                                        .leader = one.leader,
                                                        .leader_epoch = one.leader_epoch,
                                                        .replicas = one.replicas,
                                                        .isr = one.isr},
                              Offset{0}));
      }
      for (const auto& [name, value] : topic->config_overrides)
        REQUIRE(builder.apply(metadata::TopicConfigRecord{id, name, value}, Offset{0}));
    }
    return builder.finish(Offset{++applied_}, BrokerId{1}).after;
  }

  void publish() {
    for (const auto& [id, listener] : listeners_) tell(id);
  }
  void tell(BrokerId id) {
    auto& listener = listeners_.at(id);
    if (deaf_.contains(id)) return;
    const auto after = image();
    listener.images->set(after);
    for (auto& one : listener.subscribers) {
      auto delta = std::make_shared<metadata::ImageDelta>();
      delta->before = one.whole ? std::make_shared<const metadata::MetadataImage>() : one.told;
      delta->after = after;
      for (const auto& [topic_id, topic] : topics_) {
        (delta->before->find_topic(topic_id) ? delta->changed : delta->created).push_back(topic);
      }
      one.told = after;
      one.whole = false;
      caf::anon_send(one.actor, actors::MetadataUpdate{std::move(delta)});
    }
  }

  std::map<BrokerId, metadata::BrokerRegistration> registrations_;
  std::map<TopicId, std::shared_ptr<metadata::TopicImage>> topics_;
  std::map<BrokerId, Listener> listeners_;
  std::set<BrokerId> deaf_;
  std::int64_t applied_ = 0;
  int runs_ = 0;
};

/// What a node takes for its metadata_quorum.
inline actors::MetadataQuorum::behavior_type fake_quorum(actors::MetadataQuorum::pointer,
                                                         const std::shared_ptr<FakeController>& controller, BrokerId id) {
  const auto unable = [] { return actors::to_caf_error({Errc::leader_not_available, "not in this test"}); };
  return {
      [=](const actors::CreateTopic&) -> caf::result<actors::TopicAnswer> { return unable(); },
      [=](const actors::AlterTopic&) -> caf::result<actors::TopicAnswer> { return unable(); },
      [=](const actors::DeleteTopic&) -> caf::result<actors::Done> { return unable(); },
      [=](const actors::RegisterBroker& request) -> caf::result<actors::Done> {
        if (controller->is_deaf(id)) return unable();
        controller->register_run(id, request.incarnation);
        return actors::Done{};
      },
      [=](const actors::ChangeCluster& request) -> caf::result<actors::ClusterChanged> {
        const auto* give_up = std::get_if<metadata::GiveUpReplicasRequest>(&request.request);
        if (give_up == nullptr || controller->is_deaf(id)) return unable();
        return actors::ClusterChanged{std::make_shared<const metadata::ClusterAnswer>(controller->give_up(*give_up))};
      },
      [=](const actors::AskQuorum&) -> caf::result<actors::QuorumAnswered> { return unable(); },
      [=](const actors::AwaitMetadata&) -> caf::result<actors::MetadataReady> { return unable(); },
      [=](const actors::SubscribeMetadata& request) { controller->subscribe(id, request.subscriber); },
  };
}

}  // namespace troupe::test
