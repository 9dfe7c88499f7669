#include "http/message/framing.hpp"

#include <memory>

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::http;

namespace {

constexpr const char* H = "Host: localhost:8080\r\n";
const std::string P = std::string("POST /topics/t HTTP/1.1\r\n") + H;

/// What becomes of bytes up to the end of their header.
struct Judged {
  unsigned status = 0;  ///< 0: taken
  bool close = false;
  bool silent = false;  ///< closed without an answer
  bool more = false;    ///< still waiting
  std::string message;
  Framing framing;
  RequestHead head;
  std::shared_ptr<const std::string> bytes;  ///< what the head looks into
};

Judged judge(std::string_view given, const std::vector<std::string>& origins = {}) {
  static const Limits limits;
  const auto rules = HostRules::of("127.0.0.1", {"troupe.example"}, origins);
  Judged judged;
  judged.bytes = std::make_shared<const std::string>(given);
  const std::string_view bytes = *judged.bytes;
  HeaderScanner scanner;
  const auto refused = [&](const HttpError& error) {
    judged.status = error.status;
    judged.close = error.close;
    judged.message = error.message;
    return judged;
  };
  switch (scanner.feed(bytes, limits)) {
    case HeaderScanner::State::more: judged.more = true; return judged;
    case HeaderScanner::State::not_http: judged.silent = true; return judged;
    case HeaderScanner::State::refused: return refused(scanner.error());
    case HeaderScanner::State::complete: break;
  }
  const auto header = bytes.substr(scanner.begin(), scanner.end() - scanner.begin());
  if (auto wrong = parse_request_head(header, limits, judged.head)) return refused(*wrong);
  if (auto wrong = check_framing(judged.head, rules, limits, judged.framing)) return refused(*wrong);
  return judged;
}

std::string get(const std::string& fields) { return std::string("GET / HTTP/1.1\r\n") + H + fields + "\r\n"; }
std::string post(const std::string& fields) { return P + fields + "\r\n"; }

/// Fed byte by byte the verdict is the same.
bool same_in_pieces(const std::string& bytes) {
  const Limits limits;
  HeaderScanner whole, pieces;
  const auto at_once = whole.feed(bytes, limits);
  auto state = HeaderScanner::State::more;
  for (std::size_t size = 1; size <= bytes.size() && state == HeaderScanner::State::more; ++size) {
    state = pieces.feed(std::string_view(bytes).substr(0, size), limits);
  }
  return state == at_once && (state != HeaderScanner::State::complete || pieces.end() == whole.end());
}

struct Case {
  int row;
  std::string bytes;
  unsigned status;
};

}  // namespace

TEST_CASE("each ambiguous or malformed header is refused, and the connection with it", "[http]") {
  // Goal: rows 1 to 43 of reliability.md 4.4: one request that two readers could cut differently is none.
  const std::string long_line(9000, 'y');
  std::string many;
  for (int i = 0; i < 1500; ++i) many += "a:b\r\n";
  const std::vector<Case> cases{
      {1, "GET / HTTP/1.1\r\n\r\n", 400},
      {2, get(H), 400},
      {3, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421},
      {4, post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\nX", 400},
      {5, post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") + "0\r\n\r\nX", 400},
      {6, post("Transfer-Encoding: gzip\r\nContent-Length: 3\r\n") + "abcGET /topics HTTP/1.1\r\n" + H + "\r\n", 400},
      {7, post("Transfer-Encoding: xchunked\r\n"), 501},
      {8, post("Transfer-Encoding: chunked, identity\r\n"), 400},
      {9, post("Transfer-Encoding: identity, chunked\r\n"), 400},
      {10, post("Transfer-Encoding: chunked, chunked\r\n"), 400},
      {10, post("Transfer-Encoding: \"chunked\"\r\n"), 400},
      {10, post("Transfer-Encoding: , chunked\r\n"), 400},
      {10, post("Transfer-Encoding: chunked;q=1\r\n"), 400},
      {10, post("Transfer-Encoding: \r\n"), 400},
      {11, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
      {12,
       post("Transfer-Encoding:\x0b"
            "chunked\r\n"),
       400},
      {13, std::string("POST / HTTP/1.0\r\n") + H + "Transfer-Encoding: chunked\r\n\r\n", 400},
      {14, post("Content-Length: 5\r\nContent-Length: 5\r\n"), 400},
      {15, post("Content-Length: 5, 5\r\n"), 400},
      {16, post("Content-Length: 5\r\nContent-Length: 6\r\n"), 400},
      {17, post("Content-Length: +5\r\n"), 400},
      {17, post("Content-Length: -1\r\n"), 400},
      {17, post("Content-Length: 0x5\r\n"), 400},
      {17, post("Content-Length: \r\n"), 400},
      {17, post("Content-Length: 18446744073709551616\r\n"), 400},
      {18, post("Content-Length: 18446744073709551615\r\n"), 413},
      {19, post("Content-Length : 5\r\n"), 400},
      {20, get("X-A: b\r\n c\r\n"), 400},
      {21, "GET / HTTP/1.1\nHost: localhost\n\n", 400},
      {21, "GET / HTTP/1.1\r\nHost: localhost\n\r\n", 400},
      {22, get("X: a\rb\r\n"), 400},
      {22, get(std::string("X: a\0b\r\n", 8)), 400},
      {22, get("X\xff: y\r\n"), 400},
      {22, get(": x\r\n"), 400},
      {22, get("garbage\r\n"), 400},
      {23, std::string("GET /a\0b HTTP/1.1\r\n", 19) + H + "\r\n", 400},
      {23, std::string("GET /\x7f HTTP/1.1\r\n") + H + "\r\n", 400},
      {23, std::string("GET  / HTTP/1.1\r\n") + H + "\r\n", 400},
      {23, std::string("GET\t/ HTTP/1.1\r\n") + H + "\r\n", 400},
      {24, std::string("GET /\xc3\xa9 HTTP/1.1\r\n") + H + "\r\n", 400},
      {25, std::string("GET foo HTTP/1.1\r\n") + H + "\r\n", 400},
      {26, std::string("GET http://evil/ HTTP/1.1\r\n") + H + "\r\n", 421},
      {27, std::string("get / HTTP/1.1\r\n") + H + "\r\n", 501},
      {27, std::string("FOO / HTTP/1.1\r\n") + H + "\r\n", 501},
      {28, std::string("CONNECT x:1 HTTP/1.1\r\n") + H + "\r\n", 501},
      {28, std::string("TRACE / HTTP/1.1\r\n") + H + "\r\n", 501},
      {29, std::string("GET / HTTP/1.2\r\n") + H + "\r\n", 505},
      {29, std::string("GET / HTTP/2.0\r\n") + H + "\r\n", 505},
      {29, "GET /\r\n", 400},
      {30, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {32, std::string("\r\n\r\nGET / HTTP/1.1\r\n") + H + "\r\n", 400},
      {33, get("X: " + long_line + "\r\n"), 431},
      {33, "GET /" + long_line + " HTTP/1.1\r\n" + H + "\r\n", 414},
      {33, get("X: " + long_line), 431},  // and without waiting for its end
      {34, get(many), 431},
      {41, post("Content-Length: 9000000\r\n"), 413},
      {42, post("Expect: 100-continue\r\nContent-Length: 9000000\r\n"), 413},
      {43, post("Expect: 200-maybe\r\n"), 417},
  };
  for (const auto& one : cases) {
    INFO("row " << one.row << ": " << shown(one.bytes));
    const auto judged = judge(one.bytes);
    CHECK(judged.status == one.status);
    CHECK(judged.close);
    CHECK_FALSE(judged.message.empty());
    CHECK(same_in_pieces(one.bytes));
  }
}

TEST_CASE("bytes of TLS are not answered", "[http]") { CHECK(judge("\x16\x03\x01\x02").silent); }

TEST_CASE("what is proper is taken", "[http]") {
  CHECK(judge(get("")).status == 0);
  CHECK(judge("\r\n" + get("")).status == 0);
  CHECK(judge("GET / HTTP/1.0\r\n\r\n").status == 0);
  CHECK(judge("GET http://localhost:8080/topics?x=1 HTTP/1.1\r\nHost: localhost:8080\r\n\r\n").framing.path ==
        "/topics?x=1");
  CHECK(judge("OPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n").status == 0);
  CHECK(judge("GET / HTTP/1.1\r\nHost: TROUPE.example\r\n\r\n").status == 0);
  CHECK(judge(post("Transfer-Encoding: Chunked\r\n")).framing.chunked);
  CHECK(judge(post("Content-Length: 007\r\n")).framing.content_length == 7);
  CHECK(judge(post("Expect: 100-Continue\r\nContent-Length: 5\r\n")).framing.expect_continue);
  CHECK(judge("GET / HTT").more);
  CHECK(judge(get("X: y\r\n").substr(0, 30)).more);
}

TEST_CASE("a host is a name with an optional port", "[http]") {
  for (const std::string host :
       {"", "local host", "localhost:", "localhost:99999", "localhost:8x", "[::1", "[::1]x", "a/b", "a@b"}) {
    INFO(host);
    const auto status = judge("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n").status;
    CHECK(status == (host == "localhost:" ? 0U : 400U));
  }
  CHECK(judge("GET / HTTP/1.1\r\nHost: evil\r\n\r\n").message.find("localhost") != std::string::npos);
  CHECK(judge("GET http://localhost/ HTTP/1.1\r\nHost: evil\r\n\r\n").status == 421);
}

TEST_CASE("a connection is kept by version and wish", "[http]") {
  CHECK(judge(get("")).framing.keep_alive);
  CHECK_FALSE(judge(get("Connection: x, Close\r\n")).framing.keep_alive);
  CHECK_FALSE(judge("GET / HTTP/1.0\r\n\r\n").framing.keep_alive);
  CHECK(judge("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").framing.keep_alive);
}

TEST_CASE("a page of another origin may read, and nothing else", "[http]") {
  // Goal: row 65: a node on loopback is reachable from every page its user visits.
  const auto verdict = [](const std::string& method, const std::string& fields, bool reads_count = false) {
    const auto judged = judge(method + " / HTTP/1.1\r\n" + H + fields + "\r\n", {"https://app.example"});
    REQUIRE(judged.status == 0);
    const auto wrong = check_origin(judged.head.method, judged.framing, reads_count);
    return wrong ? wrong->status : 0U;
  };
  for (const std::string foreign :
       {"Origin: http://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n", "Origin: \r\n",
        "Origin: http://localhost:8081\r\n", "Origin: http://localhost:8080\r\nOrigin: http://localhost:8080\r\n",
        "Origin: https://localhost\r\n", "Origin: http://localhost:8080.evil.example\r\n"}) {
    INFO(foreign);
    CHECK(verdict("POST", foreign) == 403);
    CHECK(verdict("DELETE", foreign) == 403);
    CHECK(verdict("OPTIONS", foreign) == 403);
    CHECK(verdict("GET", foreign) == 0);
    CHECK(verdict("GET", foreign, true) == 403);
  }
  for (const std::string ours :
       {"", "Origin: http://localhost:8080\r\n", "Origin: https://APP.example\r\n",
        "Origin: https://app.example\r\nSec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-origin\r\n"}) {
    INFO(ours);
    CHECK(verdict("POST", ours) == 0);
    CHECK(verdict("GET", ours, true) == 0);
  }
}

TEST_CASE("only one known content coding is taken", "[http]") {
  CHECK(judge(post("Content-Encoding: gzip\r\n")).framing.coding == ContentCoding::gzip);
  CHECK(judge(post("Content-Encoding: Deflate\r\n")).framing.coding == ContentCoding::deflate);
  CHECK(judge(post("Content-Encoding: identity\r\n")).framing.coding == ContentCoding::identity);
  CHECK(judge(post("Content-Encoding: br\r\n")).status == 415);
  CHECK(judge(post("Content-Encoding: gzip, gzip\r\n")).status == 415);
  CHECK(judge(post("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n")).status == 415);
}

TEST_CASE("an upgrade is checked to the last letter of its key", "[http]") {
  // Goal: rows 80 to 83.
  const std::string proper = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n";
  const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const auto verdict = [](const std::string& line, const std::string& fields) {
    const auto judged = judge(line + "\r\n" + H + fields + "\r\n");
    REQUIRE(judged.status == 0);
    const auto wrong = check_websocket(judged.head, judged.framing);
    return wrong ? wrong->status : 0U;
  };
  const std::string line = "GET /v1/ws HTTP/1.1";
  CHECK(verdict(line, proper + key) == 0);
  CHECK(verdict(line, proper) == 400);
  CHECK(verdict(line, proper + "Sec-WebSocket-Key: abc\r\n") == 400);
  CHECK(verdict(line, proper + key + key) == 400);
  CHECK(verdict(line, proper + "Sec-WebSocket-Key: " + std::string(200, 'a') + "\r\n") == 400);
  CHECK(verdict(line, proper + key + "Content-Length: 4\r\n") == 400);
  CHECK(verdict(line, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 12\r\n" + key) == 426);
  CHECK(verdict(line, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" + key) == 426);
  CHECK(verdict("GET /v1/ws HTTP/1.0", proper + key) == 426);
}

TEST_CASE("what is shown of an input is short and harmless", "[http]") {
  CHECK(shown("a\r\nb\x7f") == "a\\x0d\\x0ab\\x7f");
  CHECK(shown(std::string(300, 'a')).size() == 203);
  CHECK(error_body({.message = "a\"b"}, true) == R"({"error_code":400,"message":"a\"b","code":"bad_request"})");
}
