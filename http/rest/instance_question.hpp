#pragma once

#include <memory>
#include <optional>

#include "http/rest/consumer_instances.hpp"

namespace troupe::http {

/// One question to an instance, until it has an answer: it may be asked of several nodes, and the instance may have to be claimed for this
/// one. On its call's thread.
class ConsumerInstances::Question final : public std::enable_shared_from_this<Question> {
 public:
  Question(std::shared_ptr<ConsumerInstances> owner, CallPtr call, Key key, consumer::RestCall what, MonotonicMs now,
           Reply<consumer::RestAnswer> reply, Check check);

  void step();

 private:
  /// A read is to be answered now.
  void hurry();
  bool may_go_on(const consumer::RestOptions& options);
  void end(Result<consumer::RestAnswer> answer);
  void ask_here(const std::shared_ptr<ConsumerInstance>& instance);
  void ask_there(const Elsewhere& where);
  void ask_coordinator();
  void found(const Result<group::InstanceEntry>& entry);
  void claim(const group::InstanceEntry& entry);
  /// The node that was asked is gone, or does not have it: of which epoch.
  void not_there(std::int32_t epoch);
  Bytes encoded(std::int32_t epoch, consumer::RestCall what) const;

  const std::shared_ptr<ConsumerInstances> owner_;
  const CallPtr call_;
  const Key key_;
  consumer::RestCall what_;
  const MonotonicMs now_;
  Reply<consumer::RestAnswer> reply_;
  Check check_;
  int steps_ = 0;
  bool hurried_ = false;
  bool may_be_done_ = false;  ///< by a node whose answer got lost
  std::shared_ptr<ConsumerInstance> asked_here_;
  std::optional<Elsewhere> asked_there_;
  std::optional<std::int32_t> lost_epoch_;  ///< of the instance, whose node is gone or does not have it
};

}  // namespace troupe::http
