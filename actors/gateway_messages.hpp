#pragma once

#include <memory>
#include <string>
#include <vector>

#include <caf/allowed_unsafe_message_type.hpp>

#include "actors/produce_budget.hpp"
#include "core/broker_api.hpp"

/// Calls of BrokerApi on their way to a gateway actor. A message may be copied and a reply may not: what is called is shared, and its
/// reply is answered when nobody holds it any more.
namespace troupe::actors {

/// A produce call for which there is memory.
struct AdmittedProduce {
  ProduceCall call;
  BudgetShare share;
};
struct AdmittedProduces {
  std::vector<AdmittedProduce> calls;
};
struct FetchCall {
  CallId id = 0;
  FetchRequest request;
  Reply<FetchResponse> reply;
};
struct FindOffsetCall {
  TopicIdPartition partition;
  OffsetSpec spec;
  Reply<OffsetAnswer> reply;
};
struct DeleteRecordsCall {
  DeleteRecordsRequest request;
  Reply<Offset> reply;
};
struct CreateTopicCall {
  CreateTopicRequest request;
  Reply<metadata::TopicPtr> reply;
};
struct AlterTopicCall {
  AlterTopicRequest request;
  Reply<metadata::TopicPtr> reply;
};
struct DeleteTopicCall {
  std::string name;
  Reply<Nothing> reply;
};
struct CancelCall {
  CallId id = 0;
};

template <class T>
using Shared = std::shared_ptr<T>;

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::Shared<troupe::actors::AdmittedProduces>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::Shared<troupe::actors::FetchCall>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::Shared<troupe::actors::FindOffsetCall>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::Shared<troupe::actors::DeleteRecordsCall>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::Shared<troupe::actors::CreateTopicCall>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::Shared<troupe::actors::AlterTopicCall>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::Shared<troupe::actors::DeleteTopicCall>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::CancelCall)
