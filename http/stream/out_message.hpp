#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/stream/shared_batch.hpp"

namespace troupe::http {

/// One message on its way to a socket: text of its own and pieces of what is shared, in order. Written with one gathered write.
class OutMessage {
 public:
  void append(std::string_view text) {
    if (pieces_.empty() || pieces_.back().shared) pieces_.push_back({.shared = nullptr, .begin = own_.size(), .size = 0});
    own_ += text;
    pieces_.back().size += text.size();
    size_ += text.size();
  }
  /// [begin, begin + size) of the rendering; small pieces are copied, which costs less than to gather them.
  void append(const std::shared_ptr<const Rendering>& rendering, std::size_t begin, std::size_t size) {
    if (size == 0) return;
    if (size <= copied_max) return append(std::string_view(rendering->text).substr(begin, size));
    if (!pieces_.empty() && pieces_.back().shared == rendering && pieces_.back().begin + pieces_.back().size == begin) {
      pieces_.back().size += size;
    } else {
      pieces_.push_back({.shared = rendering, .begin = begin, .size = size});
    }
    size_ += size;
  }

  /// Empty again, but for the memory; not for more of it than most messages need.
  void clear() {
    constexpr std::size_t kept_max = std::size_t{64} << 10;
    if (own_.capacity() > kept_max) own_ = {};
    own_.clear();
    pieces_.clear();
    size_ = 0;
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  /// Calls `take(std::string_view)` for each piece. Valid as long as the message stays where it is.
  template <class Take>
  void for_each(Take take) const {
    for (const auto& piece : pieces_) {
      const std::string_view text = piece.shared ? piece.shared->text : own_;
      if (piece.size > 0) take(text.substr(piece.begin, piece.size));
    }
  }
  /// All of it, for tests.
  std::string text() const {
    std::string all;
    for_each([&](std::string_view piece) { all += piece; });
    return all;
  }
  /// Takes the last character back: the comma behind the last record.
  void drop_last() {
    if (pieces_.empty()) return;
    auto& last = pieces_.back();
    if (!last.shared) own_.pop_back();
    --last.size;
    --size_;
    if (last.size == 0) pieces_.pop_back();
  }

 private:
  static constexpr std::size_t copied_max = 1024;
  struct Piece {
    std::shared_ptr<const Rendering> shared;
    std::size_t begin;
    std::size_t size;
  };
  std::string own_;
  std::vector<Piece> pieces_;
  std::size_t size_ = 0;
};

}  // namespace troupe::http
