#include "http/stream/streams.hpp"
namespace troupe::http {
struct Streams::Shared {};
struct Streams::Impl {};
std::shared_ptr<Streams::Shared> Streams::share(const GatewayOptions&, metrics::Registry&) {
  return std::make_shared<Shared>();
}
Streams::Streams(asio::io_context&, BrokerApi&, const GatewayOptions&, std::shared_ptr<Shared>)
    : impl_(std::make_unique<Impl>()) {}
Streams::~Streams() = default;
void Streams::accept_websocket(TcpStream, beast::flat_buffer, EmptyRequest, std::string) {}
void Streams::accept_events(TcpStream, EmptyRequest, std::string, std::string) {}
void Streams::drain(Millis) {}
std::size_t Streams::open() const { return 0; }
}  // namespace troupe::http
