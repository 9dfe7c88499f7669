#include "http/message/chunked_body.hpp"

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::http;

namespace {

struct Read {
  ChunkedBody::State state;
  std::string body;
  std::string rest;  ///< behind the body
  unsigned status = 0;
  std::size_t taken = 0;  ///< bytes until it was done or refused
};

Read read(std::string_view bytes, std::size_t piece = std::size_t{1} << 30) {
  static const Limits limits;
  ChunkedBody chunks(limits);
  ByteBuffer body;
  Read result{ChunkedBody::State::more, {}, {}};
  std::string_view left = bytes;
  while (!left.empty() && result.state == ChunkedBody::State::more) {
    auto part = left.substr(0, piece);
    const auto size = part.size();
    result.state = chunks.feed(part, body);
    left.remove_prefix(size - part.size());
  }
  result.taken = bytes.size() - left.size();
  result.rest = std::string(left);
  result.body = std::string(as_text(body));
  if (result.state == ChunkedBody::State::refused) result.status = chunks.error().status;
  return result;
}

}  // namespace

TEST_CASE("a chunked body is put together, however its bytes come", "[http]") {
  const std::string bytes = "5\r\nhello\r\n6;a=b\r\n world\r\n0A\r\n0123456789\r\n0\r\nX-T: y\r\n\r\nGET /";
  for (const std::size_t piece : {1, 2, 3, 7, 1000}) {
    const auto result = read(bytes, piece);
    CHECK(result.state == ChunkedBody::State::done);
    CHECK(result.body == "hello world0123456789");
    CHECK(result.rest == "GET /");
  }
  CHECK(read("5\r\nhel").state == ChunkedBody::State::more);
}

TEST_CASE("chunk framing that is not exactly right is refused", "[http]") {
  // Goal: rows 35 to 40.
  const std::string trailer = "X: " + std::string(1000, 'y') + "\r\n";
  std::string trailers = "0\r\n";
  for (int i = 0; i < 100; ++i) trailers += trailer;
  std::string many = "0\r\n";
  for (int i = 0; i < 17; ++i) many += "a: b\r\n";
  const std::vector<std::pair<std::string, unsigned>> cases{
      {"5;" + std::string(10'000, 'x'), 400},
      {trailers, 400},
      {many, 400},
      {"0\r\nContent-Length: 5\r\n\r\n", 400},
      {"0\r\ntransfer-encoding: chunked\r\n\r\n", 400},
      {"0\r\n: x\r\n\r\n", 400},
      {"0\r\n folded\r\n\r\n", 400},
      {std::string("0\r\nX: a\0b\r\n\r\n", 13), 400},
      {"FFFFFFFFFFFFFFFFF\r\n", 400},
      {"FFFFFFFFFFFFFFFF\r\n", 413},
      {"800001\r\n", 413},
      {"-1\r\n", 400},
      {"0x5\r\n", 400},
      {" 5\r\n", 400},
      {"5 \r\n", 400},
      {"\r\n", 400},
      {";a\r\n", 400},
      {"5\r\nhelloXX0\r\n\r\n", 400},
      {"5\nhello\n0\n\n", 400},
      {"5\r\nhello\n0\r\n\r\n", 400},
      {"5;a\nb\r\nhello\r\n0\r\n\r\n", 400},
      {"5\rX", 400},
      {"0\r\n\rX", 400},
  };
  for (const auto& [bytes, status] : cases) {
    INFO(shown(bytes));
    const auto result = read(bytes);
    CHECK(result.status == status);
    CHECK(read(bytes, 1).status == status);
    CHECK(result.taken <= 4 * 1024 + 300);  // bounded by the limit, not by the sender
  }
}

TEST_CASE("chunks add up to the body's limit", "[http]") {
  std::string bytes;
  for (int i = 0; i < 9; ++i) bytes += "100000\r\n" + std::string(1 << 20, 'a') + "\r\n";
  const auto result = read(bytes + "0\r\n\r\n");
  CHECK(result.status == 413);
  CHECK(result.body.size() == 8U << 20U);
}
