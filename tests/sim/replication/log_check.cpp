#include "tests/sim/replication/log_check.hpp"

#include "core/record/record_batch.hpp"
#include "tests/sim/replication/sim_network.hpp"

namespace troupe::sim {

void check_log(SimWorld& world, const std::vector<std::unique_ptr<SimClient>>& clients, std::size_t partition,
               const SimLog& log) {
  std::map<std::string, Offset> found;
  std::map<std::string, std::uint64_t> last_of;
  const bool forgetful = world.invariants.forgetful(partition);
  for (const auto& stored : log.batches()) {
    const auto batch = record::parse_batch(stored.bytes);
    record::RecordReader reader(batch->header, batch->records_block());
    while (const auto one = reader.next()) {
      const std::string value{as_text(*one->value)};
      if (!found.emplace(value, one->offset).second && !forgetful)
        world.invariants.fail("EachRecordOnce", value + " is in the log twice");
      const auto slash = value.find('/');
      const auto number = std::stoull(value.substr(slash + 1));
      // Without the quorum a record may vanish with what was known of its producer, and a late copy of its request be taken for new.
      const auto client = std::stoi(value.substr(0, slash)) - SimNetwork::first_client;
      const auto& writer = *clients[static_cast<std::size_t>(client)];
      if (writer.acks() != replication::Acks::quorum || writer.claims()) continue;  // claims have no order
      const auto [last, first_of_it] = last_of.emplace(value.substr(0, slash), number);
      if (!first_of_it && number < last->second && !forgetful)
        world.invariants.fail("ProducersOrderIsKept", value + " comes after " + std::to_string(last->second));
      last->second = number;
    }
  }
  if (world.invariants.lossy(partition)) return;
  for (const auto& client : clients) {
    if (client->partition() != partition || client->acks() != replication::Acks::quorum) continue;
    for (const auto& [part, offset] : client->acknowledged()) {
      if (offset < log.log_start()) continue;
      const auto at = found.find(client->value(part));
      if (at == found.end() || at->second != offset)
        world.invariants.fail("AckedRecordsSurvive", client->value(part) + " is not at " + to_string(offset));
    }
  }
}

}  // namespace troupe::sim
