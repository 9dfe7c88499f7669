#pragma once

#include <string>

#include "storage/file_system.hpp"
#include "tests/support/catch.hpp"

namespace troupe::test {

/// The file's whole content, read through the contract.
inline std::string read_all(storage::FileSystem& files, const std::string& path) {
  const auto file = files.open(path, storage::OpenMode::read);
  INFO((file ? std::string() : file.error().message));
  REQUIRE(file.has_value());
  const auto size = file.value()->size();
  REQUIRE(size.has_value());
  std::string text(static_cast<std::size_t>(*size) + 1, '\0');
  const auto got = file.value()->read_at(0, std::as_writable_bytes(std::span{text}));
  REQUIRE(got.has_value());
  CHECK(*got == *size);
  text.resize(*got);
  return text;
}

/// Creates `path` or writes over its beginning; durable only when `sync`.
inline void write_file(storage::FileSystem& files, const std::string& path, const std::string& text, bool sync = false) {
  const auto file = files.open(path, storage::OpenMode::create);
  INFO((file ? std::string() : file.error().message));
  REQUIRE(file.has_value());
  REQUIRE(file.value()->write_at(0, as_bytes(text)).has_value());
  if (sync) REQUIRE(file.value()->sync().has_value());
}

template <class T>
std::string message_of(const Result<T>& result) {
  return result ? "(no error)" : to_string(result.error());
}

template <class T>
bool failed_with(const Result<T>& result, Errc code) {
  UNSCOPED_INFO(message_of(result));
  return !result && result.error().code == code;
}

}  // namespace troupe::test
