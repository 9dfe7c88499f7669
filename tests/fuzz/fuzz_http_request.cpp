#include <cstdint>
#include <string>

#include "base/assert.hpp"
#include "http/message/chunked_body.hpp"
#include "http/message/framing.hpp"
#include "http/router/target.hpp"

/// Bytes as a request on a connection: it is judged the same whether it comes at once or byte by byte, what is kept has bounds, and a
/// refusal has a status and a message. What is taken has exactly one end.

using namespace troupe;
using namespace troupe::http;

namespace {

struct Verdict {
  HeaderScanner::State state = HeaderScanner::State::more;
  std::size_t begin = 0, end = 0;
  unsigned status = 0;
};

Verdict scan(std::string_view bytes, std::size_t piece, const Limits& limits) {
  HeaderScanner scanner;
  Verdict verdict;
  for (std::size_t size = std::min(piece, bytes.size()); verdict.state == HeaderScanner::State::more && size > 0;) {
    verdict.state = scanner.feed(bytes.substr(0, size), limits);
    if (size == bytes.size()) break;
    size = std::min(size + piece, bytes.size());
  }
  if (verdict.state == HeaderScanner::State::complete) verdict.begin = scanner.begin(), verdict.end = scanner.end();
  if (verdict.state == HeaderScanner::State::refused) verdict.status = scanner.error().status;
  return verdict;
}

struct Chunks {
  ChunkedBody::State state = ChunkedBody::State::more;
  std::string body;
  std::size_t taken = 0;
};

Chunks read_chunks(std::string_view bytes, std::size_t piece, const Limits& limits) {
  ChunkedBody chunks(limits);
  ByteBuffer body;
  Chunks result;
  while (result.taken < bytes.size() && result.state == ChunkedBody::State::more) {
    auto part = bytes.substr(result.taken, piece);
    const auto size = part.size();
    result.state = chunks.feed(part, body);
    result.taken += size - part.size();
  }
  if (result.state == ChunkedBody::State::refused) {
    TROUPE_ASSERT(chunks.error().close && !chunks.error().message.empty());
    result.taken = 0;  // where in a piece it was refused is nobody's business
  }
  result.body = std::string(as_text(body));
  return result;
}

void check_error(const HttpError& error) {
  TROUPE_ASSERT(error.status >= 400 && !error.message.empty());
  for (const char character : error.message) TROUPE_ASSERT(character >= 0x20 && character < 0x7f);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Limits limits = [] {
    Limits small;
    small.body_bytes_max = 4096;
    return small;
  }();
  static const auto hosts = HostRules::of("127.0.0.1", {}, {"https://app.example"});
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};

  const auto whole = scan(bytes, bytes.size(), limits), pieces = scan(bytes, 1, limits);
  TROUPE_ASSERT(whole.state == pieces.state && whole.begin == pieces.begin && whole.end == pieces.end);
  TROUPE_ASSERT(whole.status == pieces.status);
  if (whole.state != HeaderScanner::State::complete) return 0;

  RequestHead head;
  const auto header = bytes.substr(whole.begin, whole.end - whole.begin);
  if (const auto wrong = parse_request_head(header, limits, head)) return check_error(*wrong), 0;
  Framing framing;
  if (const auto wrong = check_framing(head, hosts, limits, framing)) return check_error(*wrong), 0;
  TROUPE_ASSERT(!(framing.chunked && framing.content_length));
  if (const auto wrong = check_websocket(head, framing)) check_error(*wrong);

  Target target;
  if (framing.path != "*") {
    if (const auto wrong = parse_target(framing.path, target)) {
      check_error(*wrong);
    } else {
      for (const auto& segment : target.segments) {
        TROUPE_ASSERT(!segment.text.empty() && segment.text != "." && segment.text != "..");
        TROUPE_ASSERT(segment.reserved || segment.text.find('/') == std::string::npos);
      }
      Query query;
      if (const auto wrong_query = Query::parse(target.query, query)) check_error(*wrong_query);
    }
  }
  if (framing.chunked) {
    const auto body = bytes.substr(whole.end);
    const auto at_once = read_chunks(body, body.size(), limits), in_pieces = read_chunks(body, 1, limits);
    TROUPE_ASSERT(at_once.state == in_pieces.state && at_once.taken == in_pieces.taken && at_once.body == in_pieces.body);
    TROUPE_ASSERT(at_once.body.size() <= limits.body_bytes_max);
  }
  return 0;
}
