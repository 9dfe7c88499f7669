#pragma once

#include <string>

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include "actors/messages.hpp"
#include "core/metadata/cluster_requests.hpp"
#include "core/metadata/metadata_image.hpp"
#include "core/metadata/quorum_report.hpp"
#include "core/metadata/topic_requests.hpp"

/// What is said to the metadata quorum, and what it says. Never leaves the node.
///
/// Any node takes them; they are answered after commit, when this node's image has the change. Errors of all of them:
///   leader_not_available  there was no controller within its timeout, or the disk is away: nothing was written
///   request_timed_out     on its way to a commit, and not heard of within its timeout: outcome unknown
///   storage_full          the controller's disk: nothing was written
///   overloaded            too many wait: nothing was written
namespace troupe::actors {

/// Whose wish it is. Clients may not make, change or delete internal topics ("__").
enum class Caller : std::uint8_t { client, system };

/// -> TopicAnswer. Errors: as BrokerApi::create_topic.
struct CreateTopic {
  CreateTopicRequest request;
  Caller caller = Caller::client;
  Millis timeout_ms = 30'000;
};
/// -> TopicAnswer. Errors: as BrokerApi::alter_topic.
struct AlterTopic {
  AlterTopicRequest request;
  Caller caller = Caller::client;
  Millis timeout_ms = 30'000;
};
/// -> Done. Errors: as BrokerApi::delete_topic.
struct DeleteTopic {
  std::string name;
  Caller caller = Caller::client;
  Millis timeout_ms = 30'000;
};
/// Registers a broker, or a new incarnation of one: every partition that it leads gets the next leader epoch. The same incarnation
/// again changes nothing. The quorum registers its own node when it starts; partition_manager registers a new incarnation when a
/// data directory was recovered while the node ran (docs/decisions/0010). -> Done
struct RegisterBroker {
  metadata::BrokerImage broker;
  Uuid incarnation;
  Millis timeout_ms = 30'000;
  Uuid previous_incarnation = {};  ///< of this very process, when it takes a new one
};

/// What leaders, brokers and operators ask of the controller (core/metadata/cluster_requests.hpp). -> ClusterChanged. Errors: as the
/// request says.
struct ChangeCluster {
  metadata::ClusterRequest request;
  Millis timeout_ms = 30'000;
};
struct ClusterChanged {
  std::shared_ptr<const metadata::ClusterAnswer> answer;  ///< never null
};

/// What operators ask of the quorum itself. Any replica describes what it knows; the rest is done where the leader is, elsewhere refused
/// with not_controller. -> QuorumAnswered, when it is committed, or another epoch has begun. Errors: as ClusterApi::ask_quorum, besides.
struct AskQuorum {
  quorum::QuorumRequest request;
};
struct QuorumAnswered {
  std::shared_ptr<const quorum::QuorumReport> report;  ///< as it is then; never null
};

/// The topic as it is committed; with validate_only as it would be.
struct TopicAnswer {
  metadata::TopicPtr topic;
};

/// No answer. From now on the subscriber gets MetadataUpdates, in order and without holes, until it or the quorum ends: it monitors
/// the quorum, and subscribes to the next run of it anew.
struct SubscribeMetadata {
  caf::actor subscriber;
};
/// One committed batch. The first one after a subscription has everything: all topics are `created`, `before` is empty. It comes when
/// the node's registration is committed.
struct MetadataUpdate {
  metadata::DeltaPtr delta;
};

/// -> MetadataReady, when the metadata was replayed and the node's registration is committed.
struct AwaitMetadata {};
struct MetadataReady {
  metadata::ImagePtr image;
};

/// actors/metadata_quorum.hpp
using MetadataQuorum =
    caf::typed_actor<caf::replies_to<CreateTopic>::with<TopicAnswer>, caf::replies_to<AlterTopic>::with<TopicAnswer>,
                     caf::replies_to<DeleteTopic>::with<Done>, caf::replies_to<RegisterBroker>::with<Done>,
                     caf::replies_to<ChangeCluster>::with<ClusterChanged>, caf::replies_to<AskQuorum>::with<QuorumAnswered>,
                     caf::replies_to<AwaitMetadata>::with<MetadataReady>,  //
                     caf::reacts_to<SubscribeMetadata>>;

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::CreateTopic)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::AlterTopic)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::DeleteTopic)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::RegisterBroker)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ChangeCluster)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ClusterChanged)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::AskQuorum)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::QuorumAnswered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::TopicAnswer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::SubscribeMetadata)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::MetadataUpdate)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::AwaitMetadata)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::MetadataReady)
