#include <charconv>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "core/record/batch_builder.hpp"
#include "core/record/batch_validator.hpp"

/// Our side of the exchange with another implementation of record batches.
///
///   record_batch_tool write CODEC   records on stdin, an empty line after each batch -> batches, one a line in hex
///   record_batch_tool read          batches, one a line in hex -> "batch <codec>", records, an empty line
///
/// A record is a line of words: offset, timestamp, key, value, then name and value of each header. Bytes are an x and
/// hexadecimal digits, null is "-": `3 1700000000000 x6b - x68 x31`.

using namespace troupe;
using namespace troupe::record;

namespace {

using OptionalBytes = std::optional<ByteBuffer>;

std::optional<ByteBuffer> parse_hex(std::string_view digits) {
  if (digits.size() % 2 != 0) return std::nullopt;
  ByteBuffer bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    unsigned value = 0;
    const auto* end = digits.data() + i + 2;
    if (std::from_chars(digits.data() + i, end, value, 16).ptr != end) return std::nullopt;
    bytes.push_back(static_cast<std::byte>(value));
  }
  return bytes;
}

/// The bytes a word stands for; the outer nullopt: none.
std::optional<OptionalBytes> parse_word(std::string_view word) {
  if (word == "-") return OptionalBytes{};
  if (word.empty() || word[0] != 'x') return std::nullopt;
  auto bytes = parse_hex(word.substr(1));
  if (!bytes) return std::nullopt;
  return OptionalBytes{std::move(bytes)};
}

std::string to_word(const std::optional<ByteView>& bytes) { return bytes ? "x" + to_hex(*bytes) : "-"; }

std::optional<ByteView> view_of(const OptionalBytes& bytes) {
  if (!bytes) return std::nullopt;
  return ByteView{*bytes};
}

bool add_line(RecordBatchBuilder& builder, const std::string& line) {
  std::istringstream words(line);
  std::int64_t offset = 0;
  std::int64_t timestamp = 0;
  if (!(words >> offset >> timestamp)) return false;
  std::vector<OptionalBytes> fields;
  for (std::string word; words >> word;) {
    auto bytes = parse_word(word);
    if (!bytes) return false;
    fields.push_back(std::move(*bytes));
  }
  if (fields.size() < 2 || fields.size() % 2 != 0) return false;
  std::vector<RecordHeader> headers;
  for (std::size_t i = 2; i < fields.size(); i += 2) {
    if (!fields[i]) return false;
    headers.push_back({*fields[i], view_of(fields[i + 1])});
  }
  builder.add_at(
      Offset{offset},
      {.timestamp = TimestampMs{timestamp}, .key = view_of(fields[0]), .value = view_of(fields[1]), .headers = headers});
  return true;
}

int fail(const std::string& what) {
  std::cerr << "record_batch_tool: " << what << '\n';
  return 1;
}

int write_batches(std::string_view codec_name) {
  BatchBuilderOptions options;
  while (to_string(options.codec) != codec_name) {
    if (options.codec == CompressionCodec::zstd) return fail("no such codec: " + std::string(codec_name));
    options.codec = static_cast<CompressionCodec>(static_cast<unsigned>(options.codec) + 1);
  }
  RecordBatchBuilder builder(options);
  for (std::string line; std::getline(std::cin, line);) {
    if (!line.empty()) {
      if (!add_line(builder, line)) return fail("not a record: " + line);
      continue;
    }
    const auto batch = builder.build();
    if (!batch) return fail(to_string(batch.error()));
    std::cout << to_hex(*batch) << '\n';
  }
  return 0;
}

int read_batches() {
  for (std::string line; std::getline(std::cin, line);) {
    const auto bytes = parse_hex(line);
    if (!bytes) return fail("not a batch in hex: " + line);
    const auto batch = validate_batch(*bytes, {}, BatchOrigin::client);
    if (!batch) return fail(to_string(batch.error()) + ": " + line);
    const auto records = open_records(*batch, {});
    if (!records) return fail(to_string(records.error()));
    std::cout << "batch " << to_string(batch->header.codec()) << '\n';
    RecordReader reader(batch->header, records->bytes);
    while (const auto record = reader.next()) {
      std::cout << record->offset.value() << ' ' << record->timestamp.value() << ' ' << to_word(record->key) << ' '
                << to_word(record->value);
      const auto headers = decode_headers(*record);
      if (!headers) return fail(to_string(headers.error()));
      for (const auto& header : *headers) std::cout << ' ' << to_word(header.key) << ' ' << to_word(header.value);
      std::cout << '\n';
    }
    std::cout << '\n';
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  if (arguments.size() == 2 && arguments[0] == "write") return write_batches(arguments[1]);
  if (arguments.size() == 1 && arguments[0] == "read") return read_batches();
  return fail("usage: write CODEC | read");
}
