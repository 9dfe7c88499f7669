#include "core/processing/fetched_records.hpp"

namespace troupe::processing {
namespace {

constexpr std::string_view internal_header_prefix = "__troupe";

std::optional<std::string_view> text_of(const std::optional<ByteView>& bytes) {
  return bytes ? std::optional{as_text(*bytes)} : std::nullopt;
}

}  // namespace

Result<bool> FetchedRecords::open_next_batch() {
  while (at_ < bytes_.size()) {
    TROUPE_TRY_ASSIGN(const auto batch, record::parse_batch(bytes_.view().subspan(at_)));
    at_ += batch.bytes.size();
    if (batch.header.is_control() || batch.header.next_offset() <= from_) continue;
    TROUPE_TRY_ASSIGN(auto block, record::open_records(batch, {}));
    block_.emplace(std::move(block));
    reader_.emplace(batch.header, block_->bytes);
    return true;
  }
  return false;
}

Status FetchedRecords::show(const record::RecordView& record) {
  front_.offset = record.offset;
  front_.timestamp = record.timestamp;
  front_.key = text_of(record.key);
  front_.value = text_of(record.value);
  front_.headers.clear();
  if (record.headers_count == 0) return ok();
  TROUPE_TRY_ASSIGN(const auto headers, record::decode_headers(record));
  for (const auto& header : headers) {
    if (as_text(header.key).starts_with(internal_header_prefix)) continue;
    front_.headers.push_back({as_text(header.key), text_of(header.value)});
  }
  return ok();
}

Result<const InputRecord*> FetchedRecords::front() {
  if (has_front_) return &front_;
  while (true) {
    if (reader_) {
      while (const auto record = reader_->next()) {
        if (record->offset < from_) continue;
        TROUPE_TRY(show(*record));
        has_front_ = true;
        return &front_;
      }
      const auto whole = reader_->finish();
      reader_.reset();
      TROUPE_TRY(whole);
    }
    TROUPE_TRY_ASSIGN(const bool more, open_next_batch());
    if (!more) return nullptr;
  }
}

}  // namespace troupe::processing
