#pragma once

// Asio 1.81 uses std::exchange without including it.
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

/// Boost's names, shortened. The one place through which Asio and Beast come in.
namespace troupe::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using tcp = asio::ip::tcp;
/// A connection whose handlers all run on its I/O thread, so that it needs neither strand nor lock.
using TcpSocket = asio::basic_stream_socket<tcp, asio::io_context::executor_type>;
/// The same with a deadline, for clients.
using TcpStream = beast::basic_stream<tcp, asio::io_context::executor_type>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
                                         asio::io_context::executor_type>;
using EmptyRequest = bhttp::request<bhttp::empty_body>;

}  // namespace troupe::http
