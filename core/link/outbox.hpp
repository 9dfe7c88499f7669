#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "core/link/packet.hpp"

namespace troupe::link {

/// What is to go to one peer, and how much of it may be under way.
///
///   put --> [quorum]    \                                        each queue in order; a message longer than a packet goes in chunks,
///           [metadata]   > control first --> packet <= 256 KiB    and nothing of its channel comes between them
///           [replica]    \ data by turns
///           [gateway]    |
///           [node]       /
///
/// Under way, which is sent and not acknowledged: at most 1 MiB, and control may add another 1 MiB, so that elections never wait for
/// data. Waiting: each channel's queue takes messages until it holds its bound, and then one message over it at most.
/// What does not fit is refused; by channel that means:
///
///   quorum, metadata    a message is dropped: Raft and heartbeats repeat themselves
///   the others          a message is dropped: nobody sends there what is not a call or its answer
///   all                 a call ends with `overloaded` and was not sent; an answer has room until the queue holds twice its bound
class Outbox {
 public:
  struct Options {
    std::size_t under_way_bytes_max = std::size_t{1} << 20;
    std::size_t control_extra_bytes = std::size_t{1} << 20;
    std::array<std::size_t, channel_count> waiting_bytes_max{
        std::size_t{4} << 20,  std::size_t{4} << 20,  std::size_t{32} << 20, std::size_t{32} << 20,
        std::size_t{32} << 20, std::size_t{32} << 20, std::size_t{32} << 20};
  };
  struct Message {
    ChunkKind kind = ChunkKind::message;
    Channel channel = Channel::quorum;
    std::uint64_t call = 0;
    std::uint32_t timeout_ms = 0;
    Bytes payload = {};
  };

  Outbox() : Outbox(Options{}) {}
  explicit Outbox(const Options& options) : options_(options) {}

  /// Errors: message_too_large (over 16 MiB), overloaded (the channel's queue is full).
  Status put(Message message);
  /// The next packet; nullopt: nothing waits, or nothing more may be under way.
  std::optional<ByteBuffer> next(const PacketHead& head);
  /// The peer has `bytes` of all packets with chunks. Errors: corrupt_message (less than before, or more than was sent).
  Status acknowledged(std::uint64_t bytes);

  /// A call that nobody waits for any more is not sent. False: it is under way, or was never put.
  bool take_back(Channel channel, std::uint64_t call);
  /// Forgets everything, for another session. The calls of which nothing was sent.
  std::vector<std::uint64_t> reset();

  std::uint64_t under_way() const { return sent_ - acknowledged_; }
  std::size_t waiting_bytes(Channel channel) const { return lanes_[index_of(channel)].bytes; }

 private:
  struct Lane {
    std::deque<Message> messages = {};
    std::size_t position = 0;  ///< in the first
    std::size_t bytes = 0;     ///< that wait, with their heads
  };

  void fill(Lane& lane, std::size_t& room, std::vector<Chunk>& chunks);

  Options options_;
  std::array<Lane, channel_count> lanes_ = {};
  std::uint64_t sent_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::size_t turn_ = 0;  ///< which of the channels that take turns is first
};

}  // namespace troupe::link
