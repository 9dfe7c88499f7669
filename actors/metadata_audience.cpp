#include "actors/metadata_audience.hpp"

#include <algorithm>
#include <utility>

#include <caf/send.hpp>

#include "actors/errors.hpp"

namespace troupe::actors {
namespace {

/// The image as if it had just come into being.
metadata::DeltaPtr whole_image(const metadata::ImagePtr& image) {
  auto delta = std::make_shared<metadata::ImageDelta>();
  delta->before = std::make_shared<const metadata::MetadataImage>();
  delta->after = image;
  delta->created = image->topics();
  return delta;
}

}  // namespace

void MetadataAudience::await(Promise promise, const metadata::MetadataMachine& machine) {
  if (machine.ready()) {
    promise.deliver(MetadataReady{machine.image()});
  } else {
    awaiting_.push_back(std::move(promise));
  }
}

bool MetadataAudience::subscribe(const caf::actor& subscriber, const metadata::MetadataMachine& machine) {
  if (std::ranges::find(subscribers_, subscriber) != subscribers_.end()) return false;
  subscribers_.push_back(subscriber);
  if (machine.ready()) caf::anon_send(subscriber, MetadataUpdate{whole_image(machine.image())});
  return true;
}

void MetadataAudience::ready(const metadata::MetadataMachine& machine) {
  publish(whole_image(machine.image()));
  for (auto& promise : std::exchange(awaiting_, {})) promise.deliver(MetadataReady{machine.image()});
}

void MetadataAudience::publish(const metadata::DeltaPtr& delta) {
  for (const auto& subscriber : subscribers_) caf::anon_send(subscriber, MetadataUpdate{delta});
}

void MetadataAudience::gone(const caf::actor_addr& subscriber) {
  std::erase_if(subscribers_, [&](const auto& one) { return one.address() == subscriber; });
}

void MetadataAudience::end(const Error& error) {
  for (auto& promise : std::exchange(awaiting_, {})) promise.deliver(to_caf_error(error));
  subscribers_.clear();
}

}  // namespace troupe::actors
