#pragma once

#include "core/metadata/metadata_image.hpp"

/// The whole image as records, so that the log before it can go. docs/formats/metadata.md
namespace troupe::metadata {

/// Magic of the checkpoint file around a snapshot ("TRMS"), and its name in the directory of the metadata log.
inline constexpr std::uint32_t snapshot_magic = 0x54524d53;
inline constexpr const char* snapshot_file_name = "metadata-snapshot";

/// The same image gives the same bytes. Grows with topics and partitions: some 100 bytes each.
ByteBuffer encode_snapshot(const MetadataImage& image);

/// Errors: corrupt_message, invalid_record (a newer node's).
Result<ImagePtr> decode_snapshot(ByteView payload);

}  // namespace troupe::metadata
