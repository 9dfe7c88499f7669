#include "core/link/outbox.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace troupe::link {
namespace {

constexpr std::size_t chunks_max = std::numeric_limits<std::uint16_t>::max();

std::size_t cost(const Outbox::Message& message) { return chunk_head_bytes + message.payload.size(); }
bool is_answer(ChunkKind kind) { return kind == ChunkKind::answer || kind == ChunkKind::failure; }

}  // namespace

Status Outbox::put(Message message) {
  if (message.payload.size() > payload_bytes_max) {
    return Error{Errc::message_too_large, std::to_string(message.payload.size()) + " bytes for another node, at most " +
                                              std::to_string(payload_bytes_max)};
  }
  auto& lane = lanes_[index_of(message.channel)];
  const auto bound = options_.waiting_bytes_max[index_of(message.channel)] * (is_answer(message.kind) ? 2 : 1);
  if (lane.bytes >= bound) return Error{Errc::overloaded, "too much waits for that node: retry later"};
  lane.bytes += cost(message);
  lane.messages.push_back(std::move(message));
  return ok();
}

std::optional<ByteBuffer> Outbox::next(const PacketHead& head) {
  const auto fits = [&](std::size_t bound) { return under_way() + packet_bytes_max <= bound; };
  const bool control = fits(options_.under_way_bytes_max + options_.control_extra_bytes);
  const bool data = fits(options_.under_way_bytes_max);
  std::vector<Chunk> chunks;
  std::size_t room = packet_bytes_max - packet_head_bytes;
  if (control) {
    fill(lanes_[index_of(Channel::quorum)], room, chunks);
    fill(lanes_[index_of(Channel::metadata)], room, chunks);
  }
  if (data) {
    fill(lanes_[index_of(Channel::node)], room, chunks);
    constexpr std::array in_turns{Channel::replica, Channel::gateway, Channel::group, Channel::consumer};
    for (std::size_t i = 0; i < in_turns.size(); ++i)
      fill(lanes_[index_of(in_turns[(turn_ + i) % in_turns.size()])], room, chunks);
    ++turn_;
  }
  if (chunks.empty()) return std::nullopt;
  auto packet = encode(head, chunks);
  sent_ += packet.size();
  return packet;
}

void Outbox::fill(Lane& lane, std::size_t& room, std::vector<Chunk>& chunks) {
  while (!lane.messages.empty() && chunks.size() < chunks_max && room >= chunk_head_bytes) {
    auto& message = lane.messages.front();
    const auto left = message.payload.size() - lane.position;
    const auto size = std::min(left, room - chunk_head_bytes);
    if (size == 0 && left != 0) return;
    chunks.push_back({.kind = message.kind,
                      .channel = message.channel,
                      .call = message.call,
                      .timeout_ms = message.timeout_ms,
                      .total = static_cast<std::uint32_t>(message.payload.size()),
                      .position = static_cast<std::uint32_t>(lane.position),
                      .bytes = message.payload.slice(lane.position, size)});
    room -= chunk_head_bytes + size;
    lane.position += size;
    lane.bytes -= size;
    if (size != left) return;
    lane.bytes -= chunk_head_bytes;
    lane.position = 0;
    lane.messages.pop_front();
  }
}

Status Outbox::acknowledged(std::uint64_t bytes) {
  if (bytes < acknowledged_ || bytes > sent_) {
    return Error{Errc::corrupt_message, "a link's acknowledgement of " + std::to_string(bytes) +
                                            " bytes: " + std::to_string(sent_) + " were sent, " +
                                            std::to_string(acknowledged_) + " are acknowledged"};
  }
  acknowledged_ = bytes;
  return ok();
}

bool Outbox::take_back(Channel channel, std::uint64_t call) {
  auto& lane = lanes_[index_of(channel)];
  const auto found = std::find_if(lane.messages.begin(), lane.messages.end(), [&](const Message& message) {
    return message.kind == ChunkKind::call && message.call == call;
  });
  if (found == lane.messages.end() || (found == lane.messages.begin() && lane.position != 0)) return false;
  lane.bytes -= cost(*found);
  lane.messages.erase(found);
  return true;
}

std::vector<std::uint64_t> Outbox::reset() {
  std::vector<std::uint64_t> unsent;
  for (auto& lane : lanes_) {
    for (auto at = lane.messages.begin(); at != lane.messages.end(); ++at) {
      const bool begun = at == lane.messages.begin() && lane.position != 0;
      if (at->kind == ChunkKind::call && !begun) unsent.push_back(at->call);
    }
    lane = Lane{};
  }
  sent_ = acknowledged_ = 0;
  return unsent;
}

}  // namespace troupe::link
