#pragma once

#include <vector>

#include "http/net.hpp"
#include "runtime/client/url.hpp"

namespace troupe::client {

/// The addresses that a URL's host and port stand for; a name is looked up, which may block.
boost::system::error_code endpoints_of(http::asio::io_context& context, const Url& url,
                                       std::vector<http::tcp::endpoint>& out);

}  // namespace troupe::client
