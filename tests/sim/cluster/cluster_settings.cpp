#include "tests/sim/cluster/cluster_settings.hpp"

#include <algorithm>
#include <array>

namespace troupe::sim {

using replication::Flush;

ClusterSettings draw_cluster_settings(std::uint64_t seed) {
  Prng prng(seed ^ 0xc1a57e5);
  const auto one_of = [&]<class T, std::size_t n>(const std::array<T, n>& values) { return values[prng.below(n)]; };
  ClusterSettings settings;
  auto& data = settings.replication;
  settings.voters = one_of(std::array{3, 3, 3, 3, 5, 1});
  data.brokers = std::clamp(settings.voters + static_cast<int>(prng.below(3)), 3, 7);
  data.partitions = static_cast<int>(prng.between(1, 3));
  data.replicas = std::min(one_of(std::array{3, 3, 3, 2, 4, 5}), data.brokers);
  data.min_insync_replicas = prng.chance(2, 3) ? static_cast<std::size_t>(data.replicas / 2 + 1)
                                               : static_cast<std::size_t>(prng.between(1, data.replicas));
  data.flush = prng.chance(2, 3) ? Flush::fsync : Flush::interval;
  data.written_told = prng.chance(3, 4);
  data.loss_permille = prng.chance(1, 3) ? prng.below(100) : 0;
  data.repeat_permille = prng.chance(1, 2) ? prng.below(200) : 0;
  data.reorder = prng.chance(1, 2);
  data.delay_us_max = prng.chance(1, 5) ? prng.between(2'000, 100'000) : prng.between(200, 5'000);
  data.disk_us_max = prng.chance(1, 5) ? prng.between(5'000, 100'000) : prng.between(200, 8'000);
  data.full_disk_permille = prng.chance(1, 6) ? prng.below(40) : 0;
  data.slow_disk_permille = prng.chance(1, 4) ? prng.below(20) : 0;
  data.slow_disk_us = prng.between(100'000, 2'500'000);
  data.failing_sync_permille = prng.chance(1, 5) ? prng.below(6) : 0;
  data.lag_max_ms = prng.between(300, 2'000);
  data.fetch_bytes_max = prng.chance(1, 3) ? 200 : 8'192;
  data.retention = prng.chance(1, 4);
  for (std::size_t i = 0; i < trouble_count; ++i) settings.troubles |= prng.chance(2, 5) ? 1ULL << i : 0;
  settings.pace_us = prng.between(60'000, 700'000);
  settings.faults_ms = prng.between(4'000, 10'000);
  settings.restart_ms_max = one_of(std::array<Millis, 3>{200, 1'500, 4'000});
  settings.stormy_founding = prng.chance(1, 8);
  settings.hints = prng.chance(3, 4);
  settings.snapshot_records_min = prng.between(8, 200);
  settings.session_ms = one_of(std::array<Millis, 3>{800, 1'500, 1'500});
  auto& quorum = settings.quorum;
  quorum.append_bytes_max = one_of(std::array<std::size_t, 3>{400, 4'000, 256 << 10});
  quorum.inflight_messages_max = one_of(std::array<std::size_t, 3>{1, 3, 16});
  quorum.tail_bytes_max = one_of(std::array<std::size_t, 3>{0, 2'000, 1 << 20});
  quorum.deliver_bytes_max = one_of(std::array<std::size_t, 2>{500, 1 << 20});
  quorum.snapshot_chunk_bytes = one_of(std::array<std::size_t, 3>{200, 2'000, 256 << 10});
  data.unlinked_max_ms = prng.between(50, 1'000);
  quorum.cut_lag_records_max = one_of(std::array<std::int64_t, 2>{0, 40});
  return settings;
}

ClusterSettings draw_group_settings(std::uint64_t seed) {
  auto settings = draw_cluster_settings(seed);
  Prng prng(seed ^ 0x6209);
  auto& data = settings.replication;
  // What is committed is kept: what groups do when it is not is another story.
  data.flush = Flush::fsync;
  data.group_partitions = static_cast<int>(prng.between(1, 2));
  data.partitions = static_cast<int>(prng.between(1, 5)) + data.group_partitions;
  // A cluster that cannot write for most of the time says little about groups.
  data.min_insync_replicas = std::min<std::size_t>(data.min_insync_replicas, 2);
  for (std::size_t i = 0; i < trouble_count; ++i) {
    if (prng.chance(1, 3)) settings.troubles &= ~(1ULL << i);
  }
  settings.pace_us = prng.between(200'000, 1'200'000);
  settings.faults_ms = prng.between(6'000, 14'000);
  settings.stormy_founding = false;
  settings.groups = GroupSettings{.groups = static_cast<int>(prng.between(1, 2)),
                                  .members_max = static_cast<int>(prng.between(2, 6)),
                                  .by_pattern = prng.chance(1, 3),
                                  .session_ms = prng.between(1'200, 5'000),
                                  .request_ms = prng.between(600, 2'500),
                                  .holds_on_percent = prng.chance(1, 3) ? 30U : 0U,
                                  .static_percent = prng.chance(1, 2) ? 35U : 0U,
                                  .pace_us = prng.between(100'000, 900'000)};
  // A heartbeat that has to be committed takes five trips: with sessions of as many, members come and go for ever.
  const auto trip_ms = data.delay_us_max / 1'000 + 2 * (data.disk_us_max / 1'000);
  settings.groups->session_ms += 30 * trip_ms;
  settings.groups->request_ms += 15 * trip_ms;
  if (settings.groups->by_pattern) settings.troubles |= 1ULL << static_cast<unsigned>(Trouble::change_topics);
  return settings;
}

std::string to_string(const ClusterSettings& settings) {
  const auto& data = settings.replication;
  return std::to_string(data.brokers) + " brokers, " + std::to_string(settings.voters) + " voters, " +
         std::to_string(data.partitions) + " partitions of " + std::to_string(data.replicas) + ", min ISR " +
         std::to_string(data.min_insync_replicas) + (data.flush == Flush::fsync ? ", fsync" : ", interval") + ", loss " +
         std::to_string(data.loss_permille) + " repeat " + std::to_string(data.repeat_permille) + " permille" +
         (data.reorder ? ", reordering" : "") + ", delay " + std::to_string(data.delay_us_max) + " disk " +
         std::to_string(data.disk_us_max) + " us, troubles " + std::to_string(settings.troubles) + " every " +
         std::to_string(settings.pace_us / 1'000) + " ms";
}

}  // namespace troupe::sim
