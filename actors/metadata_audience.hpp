#pragma once

#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>
#include <caf/typed_response_promise.hpp>

#include "actors/metadata_messages.hpp"
#include "core/metadata/metadata_machine.hpp"

namespace troupe::actors {

/// Who on this node waits for the metadata, and who is told of each change of it. A part of metadata_quorum.
class MetadataAudience {
 public:
  using Promise = caf::typed_response_promise<MetadataReady>;

  /// Answered at once when `machine` is ready, else with `ready`.
  void await(Promise promise, const metadata::MetadataMachine& machine);
  /// It gets each change from now on, and first, when `machine` is ready, the whole image as one. False: it is a subscriber already.
  bool subscribe(const caf::actor& subscriber, const metadata::MetadataMachine& machine);
  void ready(const metadata::MetadataMachine& machine);
  void publish(const metadata::DeltaPtr& delta);
  void gone(const caf::actor_addr& subscriber);
  /// Those who wait are told so; there is nothing more for anybody.
  void end(const Error& error);

 private:
  std::vector<Promise> awaiting_;
  std::vector<caf::actor> subscribers_;
};

}  // namespace troupe::actors
