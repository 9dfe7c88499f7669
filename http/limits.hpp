#pragma once

#include <cstddef>

#include "base/clock.hpp"

namespace troupe::http {

/// What clients may do, and for how long. All are settings (`gateway.*`); docs/limits.md says what happens beyond each.
struct Limits {
  // One HTTP message.
  std::size_t header_bytes_max = std::size_t{16} << 10;
  std::size_t header_line_bytes_max = std::size_t{8} << 10;
  std::size_t header_count_max = 100;
  std::size_t target_bytes_max = std::size_t{8} << 10;
  std::size_t body_bytes_max = std::size_t{8} << 20;
  std::size_t chunk_header_bytes_max = 256;
  std::size_t trailer_bytes_max = std::size_t{4} << 10;
  std::size_t inflated_bytes_max = std::size_t{16} << 20;
  std::size_t inflate_ratio_max = 200;

  // One record, one JSON document.
  std::size_t record_bytes_max = std::size_t{1} << 20;
  std::size_t record_headers_max = 64;
  std::size_t json_depth_max = 64;
  std::size_t json_elements_max = 100'000;

  // Time.
  Millis first_byte_ms_max = 10'000;
  Millis headers_ms_max = 10'000;
  Millis body_grace_ms = 10'000;  ///< after it, a body has to come at `body_bytes_per_s_min`
  std::size_t body_bytes_per_s_min = 1024;
  Millis keep_alive_ms_max = 60'000;
  Millis request_ms_max = 120'000;
  Millis wait_ms_max = 60'000;  ///< long poll

  // Connections.
  std::size_t connections_max = 10'000;
  std::size_t connections_per_address_max = 256;
  std::size_t new_connections_per_s_per_address_max = 100;
  std::size_t requests_per_connection_max = 100'000;
  std::size_t inflight_bytes_max = std::size_t{256} << 20;  ///< bodies that are read or worked on, all connections together

  // WebSocket and SSE.
  std::size_t frame_in_bytes_max = std::size_t{3} << 19;  ///< 1.5 MiB
  std::size_t frame_out_bytes_max = std::size_t{2} << 20;
  std::size_t fragments_max = 64;
  std::size_t control_frames_per_10s_max = 100;
  std::size_t subscriptions_max = 128;
  std::size_t send_queue_bytes_max = std::size_t{256} << 10;
  std::size_t all_send_queues_bytes_max = std::size_t{1} << 30;
  std::size_t produce_inflight_max = 64;
  std::size_t produce_inflight_bytes_max = std::size_t{1} << 20;
  Millis flush_ms = 5;  ///< between two writes to a subscriber; up to 4 times that for 1,000 sockets, none for few
  Millis connect_ms_max = 10'000;
  Millis ping_ms = 25'000;
  Millis pong_ms_max = 10'000;
  Millis sse_comment_ms = 15'000;
  Millis write_stall_ms_max = 30'000;
  std::size_t last_event_id_bytes_max = std::size_t{2} << 10;
};

}  // namespace troupe::http
