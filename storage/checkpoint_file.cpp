#include "storage/checkpoint_file.hpp"

#include <array>

#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"

namespace troupe::storage {
namespace {

// Part of the format: docs/formats/checkpoint.md.
constexpr std::uint32_t format_version = 1;
constexpr std::size_t covered_header_size =
    12;  // magic, version, payload length: what the checksum covers before the payload
constexpr std::size_t header_size = covered_header_size + 4;

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status write_new_file(FileSystem& files, const std::string& path, std::uint32_t magic, ByteView payload) {
  ByteBuffer header;
  ByteWriter writer(header);
  writer.integer(magic);
  writer.integer(format_version);
  writer.integer(static_cast<std::uint32_t>(payload.size()));
  writer.integer(crc32c(payload, crc32c(header)));

  TROUPE_TRY_ASSIGN(const auto file, files.open(path, OpenMode::create_exclusive));
  const std::array<ByteView, 2> parts{header, payload};
  TROUPE_TRY(file->write_at(0, parts));
  return file->sync();
}

Error corrupt(const std::string& path, std::string_view field, std::uint64_t got, std::uint64_t wanted) {
  return Error{Errc::corrupt_message, "checkpoint " + path + ": " + std::string(field) + " is " + std::to_string(got) +
                                          ", wanted " + std::to_string(wanted)};
}

}  // namespace

Status write_checkpoint(FileSystem& files, const std::string& path, std::uint32_t magic, ByteView payload) {
  if (payload.size() > checkpoint_payload_size_max) {
    return Error{Errc::message_too_large, "checkpoint " + path + ": payload of " + std::to_string(payload.size()) +
                                              " bytes, at most " + std::to_string(checkpoint_payload_size_max) + " fit"};
  }
  // What a crash left behind is removed, not written over: its sync may have failed, and such a file is not trusted again.
  const auto temporary = path + ".tmp";
  if (const auto removed = files.remove(temporary); !removed && removed.error().code != Errc::not_found) return removed;

  auto written = write_new_file(files, temporary, magic, payload);
  if (written) written = files.rename(temporary, path);
  if (!written) {
    // Gives the space back on a full disk. When this fails, too, the next write removes the file.
    static_cast<void>(files.remove(temporary));
    return std::move(written).error().with_context("checkpoint " + path);
  }
  if (const auto synced = files.sync_directory(directory_of(path)); !synced)
    return synced.error().with_context("checkpoint " + path);
  return ok();
}

Result<std::optional<ByteBuffer>> read_checkpoint(FileSystem& files, const std::string& path, std::uint32_t magic) {
  auto opened = files.open(path, OpenMode::read);
  if (!opened && opened.error().code == Errc::not_found) return std::optional<ByteBuffer>{};
  if (!opened) return std::move(opened).error();
  const auto& file = *opened.value();

  TROUPE_TRY_ASSIGN(const auto file_size, file.size());
  if (file_size < header_size) return corrupt(path, "file size", file_size, header_size);
  std::array<std::byte, header_size> header;
  TROUPE_TRY_ASSIGN(const auto header_read, file.read_at(0, header));
  if (header_read != header_size) return corrupt(path, "size of the header", header_read, header_size);

  const auto got_magic = load_big_endian<std::uint32_t>(header.data());
  if (got_magic != magic) return corrupt(path, "magic", got_magic, magic);
  const auto got_version = load_big_endian<std::uint32_t>(header.data() + 4);
  if (got_version != format_version) return corrupt(path, "version", got_version, format_version);
  const auto payload_size = load_big_endian<std::uint32_t>(header.data() + 8);
  if (payload_size > checkpoint_payload_size_max)
    return corrupt(path, "payload length above the limit; it", payload_size, checkpoint_payload_size_max);
  if (file_size != header_size + payload_size) return corrupt(path, "file size", file_size, header_size + payload_size);

  ByteBuffer payload(payload_size);
  TROUPE_TRY_ASSIGN(const auto payload_read, file.read_at(header_size, payload));
  if (payload_read != payload_size) return corrupt(path, "payload length", payload_read, payload_size);
  const auto wanted_checksum = load_big_endian<std::uint32_t>(header.data() + covered_header_size);
  const auto checksum = crc32c(payload, crc32c(ByteView{header}.first(covered_header_size)));
  if (checksum != wanted_checksum) return corrupt(path, "CRC-32C", checksum, wanted_checksum);
  return std::optional{std::move(payload)};
}

}  // namespace troupe::storage
