#include "actors/broker.hpp"

#include <caf/actor.hpp>
#include <caf/send.hpp>

#include "actors/gateway_messages.hpp"
#include "actors/operator_desk.hpp"
#include "actors/partition_messages.hpp"
#include "base/assert.hpp"

namespace troupe::actors {
namespace {

Error no_gateway() { return {Errc::leader_not_available, "the node is starting or stopping: retry"}; }

std::size_t thread_number() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t number = next.fetch_add(1);
  return number;
}

}  // namespace

Broker::Broker(Options options) : options_(std::move(options)), budget_(options_.produce_bytes_max) {
  TROUPE_ASSERT(!options_.gateways.empty());
}

std::size_t Broker::gateway_index() const { return thread_number() % options_.gateways.size(); }

template <class Call>
void Broker::send(Call call) {
  send_to(gateway_index(), std::move(call));
}

template <class Call>
void Broker::send_to(std::size_t gateway, Call call) {
  const auto actor = options_.gateways[gateway]->get();
  if (!actor) return call.reply(no_gateway());
  // An actor that has just ended drops the message, and with it the reply, which answers then.
  caf::anon_send(actor, std::make_shared<Call>(std::move(call)));
}

ClusterInfo Broker::cluster() const {
  const auto image = options_.images->get();
  return {.cluster_id = image->cluster_id(),
          .node_id = options_.node_id,
          .controller_id = image->controller_id(),
          .brokers = image->brokers()};
}

/// Once it has begun, a disk that is away for a moment is for the calls to hear of.
bool Broker::ready() const {
  if (started_.load(std::memory_order_relaxed)) return true;
  if (options_.serving && !options_.serving->load()) return false;
  started_.store(true, std::memory_order_relaxed);
  return true;
}

metadata::TopicPtr Broker::topic(std::string_view name) const { return options_.images->get()->find_topic(name); }
metadata::TopicPtr Broker::topic(const TopicId& id) const { return options_.images->get()->find_topic(id); }
std::vector<metadata::TopicPtr> Broker::topics() const { return options_.images->get()->topics(); }
HealthReport Broker::health() const { return options_.health(); }

std::vector<ActorInfo> Broker::actor_tree() const {
  const auto now = options_.clock->monotonic_now();
  std::vector<ActorInfo> tree;
  for (auto& actor : options_.table->snapshot()) {
    ActorInfo info{.kind = std::move(actor.kind),
                   .name = std::move(actor.name),
                   .parent = std::move(actor.parent),
                   .state = std::string(to_string(actor.state)),
                   .mailbox_depth = actor.mailbox_depth,
                   .messages_handled = actor.messages_handled,
                   .restarts = actor.restarts,
                   .last_error = std::move(actor.last_error)};
    if (actor.busy_since) info.busy_ms = std::max(Millis{0}, now - *actor.busy_since);
    tree.push_back(std::move(info));
  }
  return tree;
}

std::optional<AdmittedProduce> Broker::admit(ProduceCall call) {
  const auto refuse = [&](Error error) {
    call.reply(std::move(error));
    return std::nullopt;
  };
  const auto& request = call.request;
  if (!request.topic || request.records.empty()) {
    return refuse({Errc::invalid_argument, "a produce request needs a topic and records"});
  }
  constexpr std::size_t record_overhead = 64;
  auto share = budget_.take(request.memory.size() + request.records.size() * record_overhead);
  if (share) return AdmittedProduce{std::move(call), std::move(*share)};
  return refuse(
      {Errc::overloaded, "the node has " + std::to_string(budget_.taken()) +
                             " bytes of requests that are not answered yet (memory.produce_bytes_max): retry later"});
}

CallId Broker::produce(ProduceRequest request, Reply<ProduceResponse> reply) {
  std::vector<ProduceCall> one;
  one.push_back({std::move(request), std::move(reply)});
  produce_all(std::move(one));
  return 0;
}

void Broker::produce_all(std::vector<ProduceCall> calls) {
  AdmittedProduces admitted;
  admitted.calls.reserve(calls.size());
  for (auto& call : calls) {
    if (auto one = admit(std::move(call))) admitted.calls.push_back(std::move(*one));
  }
  if (admitted.calls.empty()) return;
  const auto actor = options_.gateways[gateway_index()]->get();
  if (!actor) {
    for (auto& one : admitted.calls) one.call.reply(no_gateway());
    return;
  }
  caf::anon_send(actor, std::make_shared<AdmittedProduces>(std::move(admitted)));
}

CallId Broker::fetch(FetchRequest request, Reply<FetchResponse> reply) {
  // The gateway's place is in the id, for cancel.
  const auto gateway = gateway_index();
  const CallId call = next_call_.fetch_add(1) * options_.gateways.size() + gateway;
  send_to(gateway, FetchCall{call, request, std::move(reply)});
  return call;
}

void Broker::cancel(CallId call) {
  if (call == 0) return;
  if (const auto actor = options_.gateways[call % options_.gateways.size()]->get()) caf::anon_send(actor, CancelCall{call});
}

CallId Broker::find_offset(TopicIdPartition partition, OffsetSpec spec, Reply<OffsetAnswer> reply) {
  send(FindOffsetCall{partition, spec, std::move(reply)});
  return 0;
}

class Broker::Attachment final : public TailAttachment {
 public:
  Attachment(std::shared_ptr<const HandleSlot<caf::actor>> manager, TopicIdPartition partition, std::uint64_t number)
      : manager_(std::move(manager)), partition_(partition), number_(number) {}
  ~Attachment() override {
    if (const auto manager = manager_->get()) caf::anon_send(manager, DetachListener{partition_, number_});
  }

 private:
  std::shared_ptr<const HandleSlot<caf::actor>> manager_;
  TopicIdPartition partition_;
  std::uint64_t number_;
};

std::unique_ptr<TailAttachment> Broker::attach_tail(TopicIdPartition partition, std::shared_ptr<TailListener> listener) {
  const auto number = next_attachment_.fetch_add(1);
  auto ticket = std::make_shared<ListenerTicket>(partition, std::move(listener));
  if (const auto manager = options_.partition_manager->get()) {
    caf::anon_send(manager, AttachListener{partition, number, std::move(ticket)});
  }
  return std::make_unique<Attachment>(options_.partition_manager, partition, number);
}

CallId Broker::create_topic(CreateTopicRequest request, Reply<metadata::TopicPtr> reply) {
  if (!request.partitions) request.partitions = options_.default_partitions;
  send(CreateTopicCall{std::move(request), std::move(reply)});
  return 0;
}

CallId Broker::alter_topic(AlterTopicRequest request, Reply<metadata::TopicPtr> reply) {
  send(AlterTopicCall{std::move(request), std::move(reply)});
  return 0;
}

CallId Broker::delete_topic(std::string name, Reply<Nothing> reply) {
  send(DeleteTopicCall{std::move(name), std::move(reply)});
  return 0;
}

// --- ClusterApi

template <class Call>
void Broker::send_to_desk(Call call) {
  const auto desk = options_.operator_desk ? options_.operator_desk->get() : caf::actor{};
  if (!desk) return call.reply(no_gateway());
  caf::anon_send(desk, std::make_shared<Call>(std::move(call)));
}

std::vector<BrokerId> Broker::reachable() const {
  auto all = options_.links ? options_.links() : std::vector<BrokerId>{};
  all.push_back(options_.node_id);
  return all;
}

void Broker::change_cluster(OperatorRequest request, Reply<metadata::ClusterAnswer> reply) {
  send_to_desk(ChangeClusterCall{std::move(request), std::move(reply)});
}

void Broker::ask_quorum(quorum::QuorumRequest request, Reply<quorum::QuorumReport> reply) {
  send_to_desk(AskQuorumCall{request, std::move(reply)});
}

/// Of this node alone it is read here, so that it can be seen when no actor answers.
void Broker::actor_trees(std::vector<BrokerId> nodes, Reply<std::vector<NodeTree>> reply) {
  const bool alone = nodes.empty() && options_.images->get()->registrations().size() < 2;
  if (!alone && nodes != std::vector{options_.node_id}) {
    return send_to_desk(ActorTreesCall{std::move(nodes), std::move(reply)});
  }
  std::vector<NodeTree> own;
  own.push_back({options_.node_id, actor_tree()});
  reply(std::move(own));
}

CallId Broker::delete_records(DeleteRecordsRequest request, Reply<Offset> reply) {
  send(DeleteRecordsCall{request, std::move(reply)});
  return 0;
}

}  // namespace troupe::actors
