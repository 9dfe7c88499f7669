#pragma once

#include <sys/socket.h>
#include <sys/time.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <unistd.h>

#include <map>
#include <string>
#include <string_view>

#include "tests/support/catch.hpp"

namespace troupe::test {

struct HttpAnswer {
  unsigned status = 0;
  std::map<std::string, std::string> fields = {};  ///< names in lower case
  std::string body = {};
};

/// A client that sends bytes as they are and reads answers one after another. Waits at most 10 s for anything.
class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)), port_(port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{10, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    REQUIRE(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  ~HttpClient() { ::close(socket_); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // the server has closed: the answer tells why
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void end_sending() { ::shutdown(socket_, SHUT_WR); }

  /// Everything up to the end of the connection.
  std::string read_all() {
    while (fill()) {}
    return std::exchange(buffer_, {});
  }
  /// Whether the server closes without another byte.
  bool closed() { return buffer_.empty() && !fill(); }

  /// The next answer; status 0 when the connection ended instead.
  HttpAnswer read(bool head = false) {
    HttpAnswer answer;
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill()) return answer;
    }
    const auto header = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    answer.status = static_cast<unsigned>(std::stoul(header.substr(9, 3)));
    for (auto at = header.find("\r\n") + 2; at < header.size();) {
      const auto line_end = header.find("\r\n", at), colon = header.find(": ", at);
      auto name = header.substr(at, colon - at);
      for (auto& letter : name) letter = static_cast<char>(std::tolower(letter));
      answer.fields[name] = header.substr(colon + 2, line_end - colon - 2);
      at = line_end + 2;
    }
    if (head || !answer.fields.contains("content-length")) return answer;
    const auto size = std::stoul(answer.fields["content-length"]);
    while (buffer_.size() < size && fill()) {}
    answer.body = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return answer;
  }

  HttpAnswer get(const std::string& target, const std::string& fields = {}) {
    send("GET " + target + " HTTP/1.1\r\n" + host() + fields + "\r\n");
    return read();
  }
  HttpAnswer request(const std::string& method, const std::string& target, const std::string& body,
                     const std::string& type = "application/json", const std::string& fields = {}) {
    send(method + " " + target + " HTTP/1.1\r\n" + host() + (type.empty() ? "" : "Content-Type: " + type + "\r\n") + fields +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return read(method == "HEAD");
  }
  std::string host() const { return "Host: localhost:" + std::to_string(port_) + "\r\n"; }

 private:
  bool fill() {
    char bytes[4096];
    const auto size = ::recv(socket_, bytes, sizeof bytes, 0);
    if (size <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(size));
    return true;
  }

  int socket_;
  std::uint16_t port_;
  std::string buffer_;
};

}  // namespace troupe::test
