#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "http/message/chunked_body.hpp"
#include "http/message/framing.hpp"
#include "http/message/header_scanner.hpp"
#include "http/server/io_thread.hpp"
#include "http/server/response_head.hpp"

namespace troupe::http {

class SessionCall;

inline constexpr std::size_t buffer_bytes_first = 4096;

/// One connection. Requests are served one after another; what a client pipelines waits in the kernel and in one small buffer.
///
///   first_byte --> header --> body --> handling --> writing --> idle --> header ...
///        |            |         |          |           |          |
///        `------------+---------+----------+-----------+----------+--> lingering --> gone
///                              refused, or out of time
///
/// Everything happens on the I/O thread. A session lives as long as something is under way on its socket.
class Session final : public std::enable_shared_from_this<Session> {
 public:
  Session(IoThread& thread, TcpSocket socket, std::string address, std::size_t slot);
  ~Session();

  void start();
  /// Looks at the deadlines.
  void sweep(MonotonicMs now);
  /// The node stops: the next answer is the last.
  void drain();
  void close();

  std::size_t slot() const { return slot_; }
  void set_slot(std::size_t slot) { slot_ = slot; }

  // Of SessionCall.
  void answer(const SessionCall& call, Response response);
  void watch_peer();

 private:
  enum class Phase : std::uint8_t { first_byte, header, body, handling, writing, lingering, idle, gone };

  // Reading.
  void read_header();
  void on_header_bytes(beast::error_code error, std::size_t size);
  void process_header();
  void take_header(std::size_t begin, std::size_t end);
  /// What has to be answered instead of serving the request; nullopt when it can go on.
  std::optional<HttpError> check_and_route();
  std::optional<HttpError> find_route();
  void preflight();
  void hand_over();

  // The body.
  void begin_body();
  void read_body();
  void on_body_bytes(beast::error_code error, std::size_t size);
  void take_chunks(std::string_view bytes, bool in_buffer);
  void end_body();
  bool body_is_too_slow(MonotonicMs now) const;

  // Answering.
  void dispatch();
  void refuse(HttpError error);
  void respond(Response response);
  void write_some();
  void finish_response();
  void next_request();
  void linger();
  void discard();
  void on_deadline();

  const Limits& limits() const { return thread_.shared()->options.limits; }
  Dialect dialect() const;
  void set_phase(Phase phase, Millis within_ms);

  IoThread& thread_;
  TcpSocket socket_;
  const std::string address_;
  std::size_t slot_;
  Phase phase_ = Phase::first_byte;
  MonotonicMs deadline_{0};
  std::size_t served_ = 0;

  // What came and has not been used: [used_, filled_) of buffer_.
  std::vector<char> buffer_;
  std::size_t used_ = 0;
  std::size_t filled_ = 0;

  // The request.
  HeaderScanner scanner_;
  RequestHead head_;
  Framing framing_;
  Target target_;
  Query query_;
  Match match_;
  const StaticFile* file_ = nullptr;
  std::optional<HttpError> refusal_;  ///< to be answered when the body has been skipped
  ByteBuffer body_;
  std::size_t body_filled_ = 0;
  std::size_t body_received_ = 0;  ///< as it came, framing included
  std::optional<ChunkedBody> chunks_;
  std::vector<char> chunk_bytes_;  ///< what is read of a chunked body
  std::string_view chunk_rest_;    ///< of it, what belongs to the next request
  std::size_t reserved_bytes_ = 0;
  MonotonicMs body_began_{0};
  std::chrono::steady_clock::time_point began_;
  std::shared_ptr<SessionCall> call_;
  bool watching_ = false;
  bool peer_closed_ = false;
  bool draining_ = false;

  // The answer.
  std::string out_;
  Response response_;
  std::size_t written_ = 0;
  bool close_after_ = false;
};

}  // namespace troupe::http
