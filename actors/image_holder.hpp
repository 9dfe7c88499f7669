#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "core/metadata/metadata_image.hpp"

namespace troupe::actors {

/// The current image of a node, for whoever needs it without a message. Any thread; the lock is held to copy a pointer.
class ImageHolder {
 public:
  /// Never null; empty until the metadata was replayed.
  metadata::ImagePtr get() const {
    const std::lock_guard lock{mutex_};
    return image_;
  }
  void set(metadata::ImagePtr image) {
    const std::lock_guard lock{mutex_};
    image_.swap(image);  // the old one goes after the lock
  }

  /// Who votes in the metadata quorum, as far as this node's log says; it may be ahead of the image.
  std::vector<BrokerId> voters() const {
    const std::lock_guard lock{mutex_};
    return voters_;
  }
  void set_voters(std::vector<BrokerId> voters) {
    const std::lock_guard lock{mutex_};
    voters_ = std::move(voters);
  }

 private:
  mutable std::mutex mutex_;
  metadata::ImagePtr image_ = std::make_shared<const metadata::MetadataImage>();
  std::vector<BrokerId> voters_ = {};
};

}  // namespace troupe::actors
