#include <string>

#include "base/byte_codec.hpp"
#include "core/link/packet.hpp"
#include "core/link/greeting.hpp"
#include "tests/fuzz/make_corpus.hpp"

/// Seeds of fuzz_link: a byte that chooses what the rest is taken for, and the rest. Of fuzz_basp: a byte for the side and the cut, and
/// frames.

using namespace troupe;
using namespace troupe::link;

namespace {

ByteBuffer tagged(std::uint8_t tag, ByteView bytes) {
  ByteBuffer seed{std::byte{tag}};
  append_bytes(seed, bytes);
  return seed;
}

/// As fuzz_link reads the pieces that a machine gets: type, size in sixteenths, bytes.
void append_piece(ByteBuffer& to, std::uint8_t type, ByteView bytes) {
  to.push_back(std::byte{type});
  to.push_back(static_cast<std::byte>((bytes.size() + 15) / 16));
  append_bytes(to, bytes);
  to.resize(to.size() + (16 - bytes.size() % 16) % 16, std::byte{0});
}

/// A frame of CAF's protocol.
void append_frame(ByteBuffer& to, std::uint8_t operation, std::uint32_t size, std::size_t payload) {
  const auto begin = to.size();
  to.resize(begin + 32 + payload, std::byte{0});
  to[begin] = std::byte{operation};
  store_big_endian(&to[begin + 4], size);
}

bool write_basp_seeds(const std::filesystem::path& folder) {
  ByteBuffer accepted{std::byte{20}};
  append_frame(accepted, 1, 32, 32);
  append_frame(accepted, 2, 90, 90);
  append_frame(accepted, 4, 64, 64);
  append_frame(accepted, 6, 0, 0);
  append_frame(accepted, 5, 80, 80);
  ByteBuffer opened{std::byte{21}};
  append_frame(opened, 0, 70, 70);
  append_frame(opened, 2, 0xffffffff, 0);
  return troupe::fuzz::write_seed(folder, "accepted", accepted) && troupe::fuzz::write_seed(folder, "opened", opened);
}

}  // namespace

bool troupe::fuzz::write_link_seeds(const std::filesystem::path& corpus) {
  const auto folder = corpus / "fuzz_link";
  const Identity identity{Uuid{{1}}, BrokerId{2}, Uuid{{3}}};
  const Chunk call{.kind = ChunkKind::call,
                   .channel = Channel::metadata,
                   .call = 1,
                   .timeout_ms = 1'000,
                   .total = 5,
                   .position = 0,
                   .bytes = Bytes::copy_of(as_bytes("hello"))};
  const Chunk part{.kind = ChunkKind::message,
                   .channel = Channel::quorum,
                   .total = 8,
                   .position = 0,
                   .bytes = Bytes::copy_of(as_bytes("half"))};
  auto rest = part;
  rest.position = 4;
  const auto packet = encode(PacketHead{9, 1, 0}, {call, part, rest});
  ByteBuffer pieces;
  append_piece(pieces, 4, ByteView{packet}.subspan(packet_head_bytes - 2));
  append_piece(pieces, 2, encode(Welcome{1, identity, 9, 0}));
  append_piece(pieces, 3, encode(Refusal{RefusalReason::busy, identity, 9, "both sides connect"}));
  return write_basp_seeds(corpus / "fuzz_basp") &&
         write_seed(folder, "hello", tagged(0, encode(Hello{.from = identity, .to = BrokerId{1}, .session = 9}))) &&
         write_seed(folder, "welcome", tagged(1, encode(Welcome{1, identity, 9, 0}))) &&
         write_seed(folder, "refusal",
                    tagged(2, encode(Refusal{RefusalReason::cluster, identity, 9, "of another cluster"}))) &&
         write_seed(folder, "packet", tagged(3, packet)) && write_seed(folder, "pieces", tagged(4, pieces)) &&
         write_seed(folder, "failure", tagged(5, encode_failure({Errc::overloaded, "too much waits"})));
}
