#include "runtime/client/endpoints.hpp"

namespace troupe::client {

boost::system::error_code endpoints_of(http::asio::io_context& context, const Url& url,
                                       std::vector<http::tcp::endpoint>& out) {
  boost::system::error_code error;
  const auto address = http::asio::ip::make_address(url.host, error);
  if (!error) {
    out.emplace_back(address, url.port);
    return {};
  }
  http::tcp::resolver resolver(context);
  const auto found = resolver.resolve(url.host, std::to_string(url.port), error);
  for (const auto& entry : found) out.push_back(entry.endpoint());
  return error;
}

}  // namespace troupe::client
