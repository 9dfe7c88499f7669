#include "tests/sim/replication/controller_links.hpp"

#include <algorithm>

namespace troupe::sim {

using namespace replication;

namespace {

constexpr int controller_id = 0;
constexpr std::int64_t heartbeat_us = 100'000;

}  // namespace

void ControllerLinks::started(SimNode& node) {
  links_[node.id()].epoch = no_broker_epoch;
  heartbeat(node);
}

void ControllerLinks::heartbeat(SimNode& node) {
  const auto run = node.current_run();
  const auto address = node.id().value();
  world_.queue.after_us(heartbeat_us, [this, &node, run] { node.run(run, [this, &node] { heartbeat(node); }); });
  const auto [position, epoch, known] = links_[node.id()];
  if (epoch == no_broker_epoch) {
    world_.send(address, controller_id, [this, &node, address, run, intact = node.intact()] {
      const auto answer = controller_.register_broker(node.id(), run, intact);
      world_.send(controller_id, address, [this, &node, run, answer] {
        node.run(run, [this, &node, run, answer] { registered(node, run, answer); });
      });
    });
  }
  world_.send(address, controller_id, [this, &node, address, run, position = position, epoch = epoch] {
    controller_.heartbeat(node.id(), epoch, position, world_.queue.now());
    const auto& all = controller_.changes();
    const auto end = std::min(all.size(), position + world_.settings.metadata_changes_max);
    std::vector<SimController::Change> news(all.begin() + static_cast<std::ptrdiff_t>(position),
                                            all.begin() + static_cast<std::ptrdiff_t>(end));
    world_.send(controller_id, address, [this, &node, run, position, news = std::move(news)] {
      node.run(run, [this, &node, position, news] { read(node, position, news); });
    });
  });
}

void ControllerLinks::registered(SimNode& node, std::uint64_t run, const SimController::Registered& answer) {
  auto& link = links_[node.id()];
  if (run != node.current_run() || link.epoch != no_broker_epoch) return;
  link.epoch = answer.broker_epoch;
  link.registered_position = answer.position;
  node.known_to_controller();
  act(node);
}

void ControllerLinks::read(SimNode& node, std::size_t from, const std::vector<SimController::Change>& changes) {
  auto& position = links_[node.id()].position;
  bool news = false;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (from + i != position) continue;
    ++position;
    node.take(changes[i].partition, changes[i].state);
    news = true;
  }
  if (!news) return;
  act(node);
  node.settle_roles();
}

void ControllerLinks::act(SimNode& node) {
  const auto& link = links_[node.id()];
  if (link.epoch != no_broker_epoch && link.position >= link.registered_position) node.act_as(link.epoch);
}

void ControllerLinks::alter(SimNode& node, std::size_t partition, const AlterPartition& alter) {
  const auto run = node.current_run();
  const auto address = node.id().value();
  world_.send(address, controller_id, [this, &node, address, run, partition, alter] {
    auto answer = controller_.alter(partition, node.id(), alter);
    ++world_.marks[answer ? (answer->isr.size() > 1 ? "isr changed" : "isr of one")
                          : "alter refused: " + std::string(to_string(answer.error().code))];
    world_.check_isr(partition);
    world_.send(controller_id, address, [&node, run, partition, request = alter.request, answer] {
      node.run(run, [&node, partition, request, answer] { node.alter_answer(partition, request, answer); });
    });
  });
}

}  // namespace troupe::sim
