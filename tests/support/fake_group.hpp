#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/group/group_coordinator.hpp"
#include "core/group_api.hpp"

namespace troupe::test {

/// The coordinator of all groups, in memory: the real rules, whose turns are committed at once. Answers at once, on the caller's thread,
/// and so does the news that it has; joins and syncs are answered on the thread of who they waited for. Time stands still but for
/// `advance`. Thread-safe.
class FakeGroups final : public GroupApi {
 public:
  using Image = std::function<metadata::ImagePtr()>;
  /// `image`: asked at every call, so that it follows what the topics become.
  explicit FakeGroups(Image image, group::GroupCoordinator::Options options = {});

  void advance(Millis time);
  /// The coordinator's node is gone: calls fail with this until `come_back`, after which the next one has read the log.
  void go_away(Errc code = Errc::coordinator_not_available);
  void come_back();
  /// Of calls so far.
  std::size_t heartbeats() const;
  std::size_t commits() const;

  std::optional<Offset> committed(const std::string& group, const std::string& topic, std::int32_t partition) const;
  std::size_t members(const std::string& group) const;

  // GroupApi
  void heartbeat(group::HeartbeatRequest request, Millis timeout_ms, Reply<group::HeartbeatAnswer> reply) override;
  void commit(group::CommitRequest request, Millis timeout_ms, Reply<std::vector<Status>> reply) override;
  void offsets(group::OffsetsRequest request, Millis timeout_ms, Reply<std::vector<group::Position>> reply) override;
  void reset(group::ResetRequest request, Millis timeout_ms, Reply<std::vector<Status>> reply) override;
  void pause(group::PauseRequest request, Millis timeout_ms, Reply<Nothing> reply) override;
  void delete_group(std::string group, Millis timeout_ms, Reply<Nothing> reply) override;
  void delete_offsets(std::string group, std::vector<group::GroupPartition> partitions, Millis timeout_ms,
                      Reply<std::vector<Status>> reply) override;
  void describe(std::string group, Millis timeout_ms, Reply<group::GroupDescription> reply) override;
  /// As `instance`, of that node; others are node 1.
  void instance_of(BrokerId from, group::InstanceRequest request, Reply<group::InstanceEntry> reply);
  void instance(group::InstanceRequest request, Millis timeout_ms, Reply<group::InstanceEntry> reply) override;
  void list(Millis timeout_ms, Reply<GroupListings> reply) override;
  void join(group::ClassicJoinRequest request, Millis timeout_ms, Reply<group::ClassicJoinAnswer> reply) override;
  void sync(group::ClassicSyncRequest request, Millis timeout_ms, Reply<group::ClassicSyncAnswer> reply) override;
  void heartbeat(group::ClassicHeartbeatRequest request, Millis timeout_ms, Reply<Nothing> reply) override;
  void leave(group::ClassicLeaveRequest request, Millis timeout_ms, Reply<std::vector<Status>> reply) override;
  std::unique_ptr<GroupListening> listen(std::string group, std::string member, std::function<void()> on_news) override;

 private:
  class Listening;
  using News = std::vector<std::function<void()>>;

  void follow_image(News& news);
  void take(group::Turn turn, News& news);
  template <class T, class Handler>
  void answer(Reply<T>& reply, Handler handler);
  template <class T, class Handler>
  void answer_later(Reply<T> reply, Handler handler);

  const Image image_of_;
  const group::GroupCoordinator::Options options_;
  mutable std::mutex mutex_;
  metadata::ImagePtr image_;
  std::unique_ptr<group::GroupCoordinator> coordinator_;
  std::optional<Errc> away_;
  group::Now now_{MonotonicMs{0}, TimestampMs{1'700'000'000'000}};
  std::vector<group::EncodedRecord> log_;
  std::map<group::MemberName, std::map<std::uint64_t, std::function<void()>>> listeners_;
  std::uint64_t next_listener_ = 1;
  std::map<group::CallToken, std::function<void(Result<group::ClassicAnswer>)>> parked_;
  group::CallToken last_parked_ = 0;
  std::size_t heartbeats_ = 0;
  std::size_t commits_ = 0;
};

}  // namespace troupe::test
