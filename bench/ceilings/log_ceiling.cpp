#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "base/crc32c.hpp"
#include "bench/measure.hpp"
#include "core/record/batch_builder.hpp"

/// The least that a log can do with the same bytes, and so the most that ours can reach on this machine: one thread, one file, no
/// index, no actors.
///
///   log_ceiling append FILE BATCHES         check each batch's checksum, write(2) it
///   log_ceiling synced FILE BATCHES WINDOW  the same, one fdatasync for every WINDOW batches
///   log_ceiling read FILE                   read the file that `append` wrote, check each batch's checksum, walk the batches

namespace {

using namespace troupe;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::uint32_t checksum_at_21(ByteView batch) { return crc32c(batch.subspan(record::batch_crc_start)); }

bench::Figures append(const std::string& path, std::size_t batches, std::size_t window) {
  const auto batch = bench::make_batch();
  const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0) fail("open");
  const auto crc = checksum_at_21(batch);
  const bench::Stopwatch stopwatch;
  for (std::size_t i = 0; i < batches; ++i) {
    if (checksum_at_21(batch) != crc) fail("checksum");
    if (::write(file, batch.data(), batch.size()) != static_cast<ssize_t>(batch.size())) fail("write");
    if (window > 0 && (i + 1) % window == 0 && ::fdatasync(file) != 0) fail("fdatasync");
  }
  if (window > 0 && ::fdatasync(file) != 0) fail("fdatasync");
  const auto figures = stopwatch.stop(batches * bench::records_per_batch, batches * batch.size());
  ::close(file);
  return figures;
}

bench::Figures read(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail("open");
  std::vector<std::byte> buffer(std::size_t{256} << 10);
  std::size_t records = 0;
  std::size_t bytes = 0;
  std::size_t held = 0;
  const bench::Stopwatch stopwatch;
  for (;;) {
    const auto got = ::read(file, buffer.data() + held, buffer.size() - held);
    if (got < 0) fail("read");
    if (got == 0) break;
    held += static_cast<std::size_t>(got);
    ByteView rest{buffer.data(), held};
    while (rest.size() >= record::batch_header_bytes) {
      const auto header = record::parse_batch_header(rest);
      if (!header) fail("batch");
      if (header->size_bytes() > rest.size()) break;
      if (checksum_at_21(rest.first(header->size_bytes())) != header->crc) fail("checksum");
      records += static_cast<std::size_t>(header->records_count);
      bytes += header->size_bytes();
      rest = rest.subspan(header->size_bytes());
    }
    std::memmove(buffer.data(), rest.data(), rest.size());
    held = rest.size();
  }
  ::close(file);
  return stopwatch.stop(records, bytes);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 3 && arguments[0] == "append") {
    append(arguments[1], std::stoul(arguments[2]), 0).print();
  } else if (arguments.size() == 4 && arguments[0] == "synced") {
    append(arguments[1], std::stoul(arguments[2]), std::stoul(arguments[3])).print();
  } else if (arguments.size() == 2 && arguments[0] == "read") {
    read(arguments[1]).print();
  } else {
    std::fputs("usage: log_ceiling append FILE BATCHES | synced FILE BATCHES WINDOW | read FILE\n", stderr);
    return 2;
  }
  return 0;
}
