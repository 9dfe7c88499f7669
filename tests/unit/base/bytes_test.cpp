#include "base/bytes.hpp"

#include <memory>

#include "tests/support/catch.hpp"

using namespace troupe;

namespace {

ByteBuffer buffer_of(std::string_view text) {
  const auto view = as_bytes(text);
  return ByteBuffer(view.begin(), view.end());
}

}  // namespace

TEST_CASE("adopting a buffer takes its memory without a copy", "[base]") {
  auto buffer = buffer_of("a record batch");
  const auto* memory = buffer.data();
  const auto bytes = Bytes::adopt(std::move(buffer));
  CHECK(bytes.data() == memory);
  CHECK(as_text(bytes) == "a record batch");
}

TEST_CASE("a copy does not see later changes of what it was made from", "[base]") {
  auto buffer = buffer_of("abc");
  const auto bytes = Bytes::copy_of(buffer);
  buffer[0] = std::byte{'x'};
  CHECK(as_text(bytes) == "abc");
}

TEST_CASE("copies and slices share the memory and outlive the whole", "[base]") {
  auto whole = std::make_unique<Bytes>(Bytes::copy_of(as_bytes("0123456789")));
  const auto* memory = whole->data();
  const Bytes copy = *whole;
  CHECK(copy.data() == memory);
  auto middle = std::make_unique<Bytes>(whole->slice(2, 6));
  CHECK(middle->data() == memory + 2);
  const auto inner = middle->slice(1, 3);
  CHECK(inner.data() == memory + 3);
  whole.reset();
  middle.reset();
  CHECK(as_text(inner) == "345");  // the address sanitizer watches
}

TEST_CASE("a slice may be all, nothing, or nothing at the end", "[base]") {
  const auto bytes = Bytes::copy_of(as_bytes("abc"));
  CHECK(as_text(bytes.slice(0, 3)) == "abc");
  CHECK(bytes.slice(1, 0).empty());
  CHECK(bytes.slice(3, 0).empty());
  CHECK(Bytes{}.slice(0, 0).empty());
}

TEST_CASE("bytes that hold nothing are empty", "[base]") {
  CHECK(Bytes{}.empty());
  CHECK(Bytes{}.view().empty());
  CHECK(Bytes::adopt({}).empty());
  CHECK(Bytes::copy_of({}).size() == 0);
}

TEST_CASE("bytes are equal by content and length", "[base]") {
  CHECK(equal_bytes(as_bytes("abc"), as_bytes("abc")));
  CHECK_FALSE(equal_bytes(as_bytes("abc"), as_bytes("abd")));
  CHECK_FALSE(equal_bytes(as_bytes("abc"), as_bytes("ab")));
  CHECK(equal_bytes({}, as_bytes("")));
}

TEST_CASE("appending grows a buffer at its end", "[base]") {
  ByteBuffer buffer;
  append_bytes(buffer, {});
  CHECK(buffer.empty());
  append_bytes(buffer, as_bytes("ab"));
  append_bytes(buffer, as_bytes(""));
  append_bytes(buffer, as_bytes("c"));
  CHECK(as_text(buffer) == "abc");
}

TEST_CASE("hexadecimal digits are lower case, two a byte", "[base]") {
  CHECK(to_hex({}).empty());
  CHECK(to_hex(as_bytes(std::string_view{"\x00\x0f\xa5\xff", 4})) == "000fa5ff");
}
