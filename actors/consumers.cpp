#include "actors/consumers.hpp"

#include <caf/actor.hpp>
#include <caf/send.hpp>

#include "actors/consumer_coordinator.hpp"
#include "actors/consumer_messages.hpp"

namespace troupe::actors {
namespace {

/// Sends what it is asked to the actor, which it does not keep alive. What an actor that is gone is asked is answered as lost.
class Handle final : public Consumer {
 public:
  explicit Handle(const caf::actor& actor) : address_(caf::actor_cast<caf::actor_addr>(actor)) {}
  ~Handle() override { send(ConsumerAbandoned{}); }

  void credit(ConsumerCredit more) override { send(ConsumerCreditCall{more}); }
  void consumed(TopicIdPartition partition, Offset next) override { send(ConsumerConsumedCall{partition, next}); }
  void commit(std::vector<std::pair<TopicIdPartition, Offset>> positions,
              Reply<std::vector<CommittedPosition>> reply) override {
    send(ConsumerCommitCall{std::move(positions), std::move(reply)});
  }
  void released(group::PartitionList partitions) override { send(ConsumerReleasedCall{std::move(partitions)}); }
  void pause(group::PartitionList partitions) override { send(ConsumerPauseCall{std::move(partitions), true}); }
  void resume(group::PartitionList partitions) override { send(ConsumerPauseCall{std::move(partitions), false}); }
  void seek(TopicIdPartition partition, SeekTarget target, Reply<Offset> reply) override {
    send(ConsumerSeekCall{partition, target, std::move(reply)});
  }
  void change(group::MemberProfile profile) override { send(ConsumerChangeCall{std::move(profile)}); }
  void close(Reply<std::monostate> reply) override { send(ConsumerCloseCall{std::move(reply)}); }

 private:
  template <class Call>
  void send(Call call) {
    const auto actor = caf::actor_cast<caf::actor>(address_);
    if (actor) caf::anon_send(actor, std::make_shared<ConsumerInput>(std::move(call)));
  }

  const caf::actor_addr address_;
};

/// One that never began.
class NoConsumer final : public Consumer {
 public:
  explicit NoConsumer(Error error) : error_(std::move(error)) {}

  void credit(ConsumerCredit) override {}
  void consumed(TopicIdPartition, Offset) override {}
  void commit(std::vector<std::pair<TopicIdPartition, Offset>>, Reply<std::vector<CommittedPosition>> reply) override {
    reply(error_);
  }
  void released(group::PartitionList) override {}
  void pause(group::PartitionList) override {}
  void resume(group::PartitionList) override {}
  void seek(TopicIdPartition, SeekTarget, Reply<Offset> reply) override { reply(error_); }
  void change(group::MemberProfile) override {}
  void close(Reply<std::monostate> reply) override { reply(std::monostate{}); }

 private:
  const Error error_;
};

std::unique_ptr<Consumer> refuse(const std::shared_ptr<ConsumerListener>& listener, Error error) {
  listener->on_event(ConsumerFailed{error});
  listener->on_event(ConsumerClosed{});
  return std::make_unique<NoConsumer>(std::move(error));
}

}  // namespace

std::unique_ptr<Consumer> Consumers::open(ConsumerOptions options, std::shared_ptr<ConsumerListener> listener) {
  const auto manager = options_.manager->get();
  if (!manager || options_.groups == nullptr) {
    return refuse(listener, {Errc::coordinator_not_available, "the node has no consumers now: retry"});
  }
  if (count_->fetch_add(1) >= options_.consumers_max) {
    count_->fetch_sub(1);
    return refuse(listener, {Errc::overloaded,
                             "the node has " + std::to_string(options_.consumers_max) + " consumers: ask another one"});
  }
  ConsumerCoordinatorOptions with{.consumer = std::move(options),
                                  .member = to_string(Uuid::random()),
                                  .listener = std::move(listener),
                                  .broker = options_.broker(),
                                  .groups = options_.groups,
                                  .count = count_};
  auto row = options_.table->add("consumer_coordinator", with.consumer.group + "/" + with.member, options_.parent);
  const auto actor = spawn_consumer_coordinator(manager.home_system(), std::move(with), manager, row);
  caf::anon_send(manager, AdoptConsumer{actor, std::move(row)});
  return std::make_unique<Handle>(actor);
}

}  // namespace troupe::actors
