#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/consumer/rest_instance.hpp"
#include "core/group_api.hpp"
#include "http/router/executor.hpp"

namespace troupe::http {

/// One consumer instance of the REST proxy on the node that has it: the machine, the consumer that it reads with, and the reads that wait.
/// What is asked of it comes from this node's door or from another's, on any thread, and is worked on on its own, one after the other.
///
/// What it reads is stored with the group's coordinator before a call that changes it is answered: another node can go on with it.
class ConsumerInstance final : public std::enable_shared_from_this<ConsumerInstance> {
 public:
  using Answer = Reply<consumer::RestAnswer>;
  /// Who asks, when it is a client of this node.
  static constexpr BrokerId nobody{-1};

  /// `epoch`: the coordinator's. `executor`: its thread; what is asked of it when that has ended is answered as lost.
  ConsumerInstance(ConsumerApi& consumers, GroupApi& groups, consumer::RestOptions options, std::int32_t epoch,
                   std::weak_ptr<Executor> executor);

  const consumer::RestOptions& options() const { return options_; }
  std::int32_t epoch() const { return epoch_; }
  bool ended() const { return ended_; }

  /// Goes on with what it read on another node.
  void take_over(consumer::RestReading reading);
  /// Errors: those of consumer::RestInstance; not_coordinator (it is not here any more: ask who has it), and those of GroupApi.
  void ask(BrokerId from, consumer::RestCall call, Answer answer);
  /// The link to that node was cut: reads of its clients wait no more, and what they were told last may not have arrived.
  void on_cut(BrokerId node);
  /// Another node has it, or nobody.
  void drop();
  /// Its thread has ended. Any thread, once.
  void abandon();

  void touch(MonotonicMs now) { used_at_ = now.value(); }
  /// Reads that wait are use.
  MonotonicMs used_at() const { return reading_ > 0 ? MonotonicMs::max() : MonotonicMs{used_at_}; }

 private:
  using Effects = consumer::RestInstanceEffects;
  struct Read {
    std::uint64_t id;
    BrokerId from;
    std::size_t bytes_max;
    bool hurry;
    Answer answer;
  };
  /// The seeks of one call.
  struct Gather {
    std::size_t open = 0;
    Status status = ok();
    Answer answer;
  };
  using Work = std::function<Status(Effects&)>;
  struct Change {
    Work work;
    Answer answer;
  };

  /// On its thread.
  template <class Function>
  void post(Function function);
  /// A reply that comes back on its thread.
  template <class T, class Function>
  Reply<T> back(Function function);

  void work_on(BrokerId from, consumer::RestSubscribe call, Answer answer);
  void work_on(BrokerId from, consumer::RestAssign call, Answer answer);
  void work_on(BrokerId from, const consumer::RestSubscription& call, Answer answer);
  void work_on(BrokerId from, const consumer::RestAssignment& call, Answer answer);
  void work_on(BrokerId from, const consumer::RestRead& call, Answer answer);
  void work_on(BrokerId from, const consumer::RestHurry& call, Answer answer);
  void work_on(BrokerId from, consumer::RestCommit call, Answer answer);
  void work_on(BrokerId from, const consumer::RestSeek& call, Answer answer);
  void work_on(BrokerId from, const consumer::RestTouch& call, Answer answer);
  void work_on(BrokerId from, const consumer::RestRemove& call, Answer answer);

  void change(Change change);
  void save(Answer answer);
  void perform(Effects effects, const std::shared_ptr<Gather>& gather = nullptr);
  void on_event(std::uint64_t run, ConsumerEvent event);
  void serve();
  Error refusal(BrokerId to, const Error& error) const;
  /// nullopt: nothing to answer yet.
  std::optional<Result<consumer::RestAnswer>> answer_for(const Read& read);
  void reclaim();
  void end_here(Answer left);

  ConsumerApi& consumers_;
  GroupApi& groups_;
  const consumer::RestOptions options_;
  const std::weak_ptr<Executor> executor_;
  std::atomic<std::int32_t> epoch_;
  std::atomic<bool> ended_ = false;
  std::atomic<std::int64_t> used_at_ = 0;
  std::atomic<std::size_t> reading_ = 0;

  // Of its thread.
  consumer::RestInstance machine_;
  std::shared_ptr<Consumer> consumer_;
  std::deque<Read> reads_;
  std::deque<std::uint64_t> hurried_;  ///< reads that have not come yet
  BrokerId told_ = nobody;             ///< whose client had the last records
  ByteBuffer saved_;
  bool saving_ = false;
  std::deque<Change> changes_;
  bool reclaiming_ = false;
  int reclaims_ = 0;

  /// The listener of one consumer.
  class Ear;
};

}  // namespace troupe::http
