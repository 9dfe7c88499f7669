#pragma once

#include <cstdint>
#include <type_traits>

#include <caf/deserializer.hpp>
#include <caf/error.hpp>
#include <caf/fwd.hpp>
#include <caf/meta/type_name.hpp>
#include <caf/sec.hpp>
#include <caf/serializer.hpp>

#include "base/bytes.hpp"
#include "core/link/packet.hpp"

namespace troupe::actors {

/// Bytes as CAF writes them: in one piece, and without a copy on the way out.
struct EnvelopeBody {
  Bytes bytes = {};
};

/// The only message that leaves a node: bytes of our own codec. docs/formats/link.md
struct Envelope {
  std::uint16_t type = 0;  ///< link::EnvelopeType
  std::uint16_t version = 0;
  EnvelopeBody body = {};
};

/// What a peer may make us allocate: a packet. Greetings are shorter.
inline constexpr std::size_t envelope_bytes_max = link::packet_bytes_max;

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, EnvelopeBody& body) {
  if constexpr (std::is_base_of_v<caf::serializer, Inspector>) {
    auto size = body.bytes.size();
    return caf::error::eval([&] { return f.begin_sequence(size); },
                            [&] { return f.apply_raw(size, const_cast<std::byte*>(body.bytes.data())); },
                            [&] { return f.end_sequence(); });
  } else if constexpr (std::is_base_of_v<caf::deserializer, Inspector>) {
    std::size_t size = 0;
    ByteBuffer buffer;
    return caf::error::eval([&] { return f.begin_sequence(size); },
                            [&]() -> caf::error {
                              if (size > envelope_bytes_max) return caf::sec::invalid_argument;
                              buffer.resize(size);
                              return f.apply_raw(size, buffer.data());
                            },
                            [&] {
                              body.bytes = Bytes::adopt(std::move(buffer));
                              return f.end_sequence();
                            });
  } else {
    return f(caf::meta::type_name("body"));
  }
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, Envelope& envelope) {
  return f(caf::meta::type_name("troupe"), envelope.type, envelope.version, envelope.body);
}

struct LinkWire {
  std::uint64_t heartbeat_ms = 500;  ///< CAF's own, as a backstop: it closes what hangs
  std::uint64_t connection_timeout_ms = 3'000;
};

/// What an actor system needs for links: CAF's middleman, the message type and the timeouts. Before the system is made.
void configure_links(caf::actor_system_config& config, const LinkWire& wire);

}  // namespace troupe::actors
