#include "http/rest/group_view.hpp"

#include <optional>
#include <utility>

#include "core/cluster_api.hpp"
#include "core/group/group_place.hpp"

namespace troupe::http {
namespace {

/// Answers that come one by one.
struct Finding {
  std::vector<std::optional<Result<OffsetAnswer>>> found;
  std::size_t left = 0;
  std::function<void(const CallPtr& call, std::vector<Result<OffsetAnswer>> found)> use;

  void take(const CallPtr& call, std::size_t at, Result<OffsetAnswer> answer) {
    found[at].emplace(std::move(answer));
    if (--left > 0) return;
    std::vector<Result<OffsetAnswer>> all;
    all.reserve(found.size());
    for (auto& one : found) all.push_back(std::move(*one));
    use(call, std::move(all));
  }
};

using Use = std::function<void(const CallPtr& call, Result<GroupView> view)>;

void with_ends(Rest& rest, const CallPtr& call, GroupView view, Use use) {
  std::vector<group::GroupPartition> partitions;
  for (const auto& one : view.partitions) partitions.push_back(one.partition);
  auto take = [view = std::move(view), use = std::move(use)](const CallPtr& to,
                                                             std::vector<Result<OffsetAnswer>> found) mutable {
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (!found[i]) continue;
      view.partitions[i].log_start = found[i]->log_start_offset;
      view.partitions[i].log_end = found[i]->high_watermark;
    }
    use(to, std::move(view));
  };
  find_offsets(rest, call, partitions, {.kind = OffsetSpec::Kind::latest}, std::move(take));
}

}  // namespace

void find_offsets(Rest& rest, const CallPtr& call, const std::vector<group::GroupPartition>& partitions, OffsetSpec spec,
                  std::function<void(const CallPtr& call, std::vector<Result<OffsetAnswer>> found)> use) {
  if (partitions.empty()) return use(call, {});
  const auto finding = std::make_shared<Finding>();
  finding->found.resize(partitions.size());
  finding->left = partitions.size();
  finding->use = std::move(use);
  for (std::size_t at = 0; at < partitions.size(); ++at) {
    const auto& [name, number] = partitions[at];
    auto reply = reply_on<OffsetAnswer>(
        call, [finding, at](const CallPtr& to, Result<OffsetAnswer> answer) { finding->take(to, at, std::move(answer)); });
    const auto topic = rest.broker.topic(name);
    if (!topic || number < PartitionId{0} || number.value() >= topic->partition_count()) {
      reply(Error{Errc::unknown_topic_or_partition,
                  "there is no partition " + to_string(number) + " of a topic '" + name + "'"});
    } else {
      rest.broker.find_offset({topic->id, number}, spec, std::move(reply));
    }
  }
}

void gather_group(Rest& rest, const CallPtr& call, const std::string& group, Use use) {
  auto described = [&rest, use = std::move(use)](const CallPtr& to, Result<group::GroupDescription> description) mutable {
    if (!description) return use(to, std::move(description).error());
    const auto name = description->group;
    auto positioned = [&rest, use = std::move(use), description = *std::move(description)](
                          const CallPtr& at, Result<std::vector<group::Position>> positions) mutable {
      if (!positions) return use(at, std::move(positions).error());
      GroupView view;
      view.partitions = group::partitions_of_group(description, *positions, *rest.broker.cluster_api().image());
      view.group = std::move(description);
      with_ends(rest, at, std::move(view), std::move(use));
    };
    rest.broker.group_api().offsets({name, {}, {}}, group_timeout_ms,
                                    reply_on<std::vector<group::Position>>(to, std::move(positioned)));
  };
  rest.broker.group_api().describe(group, group_timeout_ms, reply_on<group::GroupDescription>(call, std::move(described)));
}

BrokerId coordinator_of(Rest& rest, std::string_view group) {
  const auto topic = rest.broker.topic(group::offsets_topic);
  const auto partition = group::partition_of_group(group);
  if (!topic || partition.value() >= topic->partition_count()) return no_broker;
  return topic->partitions[static_cast<std::size_t>(partition.value())].leader;
}

}  // namespace troupe::http
