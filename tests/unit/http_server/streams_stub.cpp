#include "http/stream/streams.hpp"

/// Streams that say what they were given and close: what the session hands over is what is tested here.
namespace troupe::http {

struct Streams::Shared {};
struct Streams::Impl {};

std::shared_ptr<Streams::Shared> Streams::share(const GatewayOptions&, metrics::Registry&) {
  return std::make_shared<Shared>();
}
Streams::Streams(asio::io_context&, BrokerApi&, ProduceTurn&, const GatewayOptions&, std::shared_ptr<Shared>) {}
Streams::~Streams() = default;

namespace {

void say(TcpSocket& stream, const std::string& text) {
  beast::error_code ignored;
  asio::write(stream, asio::buffer(text), ignored);
}

}  // namespace

void Streams::accept_websocket(TcpSocket stream, beast::flat_buffer buffer, EmptyRequest request, std::string query) {
  const auto key = request[bhttp::field::sec_websocket_key];
  say(stream, "websocket " + std::string(key.data(), key.size()) + " query=" + query +
                  " rest=" + std::string(static_cast<const char*>(buffer.data().data()), buffer.size()) + "\n");
}

void Streams::accept_events(TcpSocket stream, EmptyRequest, std::string topic, std::string query) {
  say(stream, "events of " + topic + " query=" + query + "\n");
}

void Streams::drain(Millis) {}
std::size_t Streams::open() const { return 0; }

}  // namespace troupe::http
