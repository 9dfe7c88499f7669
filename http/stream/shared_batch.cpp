#include "http/stream/shared_batch.hpp"

#include <algorithm>
#include <limits>

namespace troupe::http {

Result<std::shared_ptr<SharedBatch>> SharedBatch::decode(PartitionId partition, const std::string& topic, Bytes bytes,
                                                         Offset from) {
  TROUPE_TRY_ASSIGN(const auto view, record::parse_batch(bytes));
  auto batch = std::make_shared<SharedBatch>();
  batch->partition_ = partition;
  batch->topic_ = topic;
  batch->batch_ = bytes.slice(0, view.bytes.size());
  batch->run_ = {.from = std::min(from, view.header.base_offset),
                 .next = view.header.next_offset(),
                 .leader_epoch = view.header.leader_epoch};
  batch->held_bytes_ = view.bytes.size() + sizeof(SharedBatch);
  // Control records are the transactions' own.
  if (view.header.is_control()) return batch;

  TROUPE_TRY_ASSIGN(auto block, record::open_records(view, {}));
  const bool own = !block.inflated.empty();
  batch->inflated_ = std::move(block.inflated);
  record::RecordReader reader(view.header, own ? ByteView(batch->inflated_) : block.bytes);
  while (const auto record = reader.next()) {
    batch->records_.push_back(*record);
    batch->run_.records.push_back({.offset = record->offset,
                                   .timestamp = record->timestamp,
                                   .key = record->key ? std::optional{as_text(*record->key)} : std::nullopt,
                                   .tombstone = !record->value});
  }
  TROUPE_TRY(reader.finish());
  batch->held_bytes_ +=
      batch->inflated_.size() + batch->records_.size() * (sizeof(record::RecordView) + sizeof(consumer::RunRecord));
  return batch;
}

std::shared_ptr<SharedBatch> SharedBatch::hole(PartitionId partition, Offset from, Offset next) {
  auto batch = std::make_shared<SharedBatch>();
  batch->partition_ = partition;
  batch->run_ = {.from = from, .next = next};
  batch->held_bytes_ = sizeof(SharedBatch);
  return batch;
}

std::shared_ptr<const Rendering> SharedBatch::render(RenderKind kind) {
  auto& kept = renderings_[kind.number()];
  if (kept) return kept;
  auto rendering = std::make_shared<Rendering>();
  rendering->starts.reserve(records_.size() + 1);
  std::string topic;
  if (kind.with_topic) {
    topic = "{\"t\":";
    append_json_string(topic, topic_);
    topic += ',';
  }
  auto& text = rendering->text;
  for (const auto& record : records_) {
    rendering->starts.push_back(static_cast<std::uint32_t>(text.size()));
    if (kind.events) text += record.value ? "data: " : "event: delete\ndata: ";
    const auto at = text.size();
    append_record(text, partition_, record, kind.format);
    if (kind.with_topic) text.replace(at, 1, topic);
    text += kind.events ? "\n\n" : ",";
  }
  rendering->starts.push_back(static_cast<std::uint32_t>(text.size()));
  held_bytes_ += text.size() + rendering->starts.size() * sizeof(std::uint32_t);
  kept = std::move(rendering);
  return kept;
}

}  // namespace troupe::http
