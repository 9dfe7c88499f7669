#include "http/message/request_head.hpp"

#include "http/net.hpp"

namespace troupe::http {
namespace {

/// Beast's parser with the fields kept as views: no allocation a field.
class HeadParser final : public bhttp::basic_parser<true> {
 public:
  explicit HeadParser(RequestHead& head) : head_(head) {}

 private:
  void on_request_impl(bhttp::verb, beast::string_view, beast::string_view target, int version,
                       beast::error_code&) override {
    head_.target = {target.data(), target.size()};
    head_.version = static_cast<unsigned>(version);
  }
  void on_response_impl(int, beast::string_view, int, beast::error_code&) override {}
  void on_field_impl(bhttp::field, beast::string_view name, beast::string_view value, beast::error_code&) override {
    head_.fields.push_back({{name.data(), name.size()}, {value.data(), value.size()}});
  }
  void on_header_impl(beast::error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
  std::size_t on_body_impl(beast::string_view body, beast::error_code&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, beast::error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, beast::error_code&) override { return body.size(); }
  void on_finish_impl(beast::error_code&) override {}

  RequestHead& head_;
};

}  // namespace

std::optional<HttpError> parse_request_head(std::string_view bytes, const Limits& limits, RequestHead& out) {
  const auto line = bytes.substr(0, bytes.find("\r\n"));
  RequestLine request_line;
  if (auto wrong = read_request_line(line, limits, request_line)) return wrong;
  out.method = request_line.method;
  out.fields.clear();
  HeadParser parser(out);
  parser.header_limit(static_cast<std::uint32_t>(bytes.size() + 1));
  parser.body_limit(boost::none);
  beast::error_code error;
  parser.put(asio::const_buffer(bytes.data(), bytes.size()), error);
  if (error && error != bhttp::error::need_more) return broken_request("the header is malformed: " + error.message());
  if (!parser.is_header_done()) return broken_request("the header is malformed");
  return std::nullopt;
}

}  // namespace troupe::http
