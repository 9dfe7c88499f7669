#include "tests/support/compaction.hpp"

#include "tests/support/catch.hpp"

namespace troupe::test {

void add_records(RecordTexts& texts, ByteView batches, Offset from) {
  while (!batches.empty()) {
    const auto batch = record::parse_batch(batches);
    REQUIRE(batch);
    const auto block = record::open_records(*batch, {});
    REQUIRE(block);
    record::RecordReader reader{batch->header, block->bytes};
    while (const auto record = reader.next()) {
      if (record->offset < from) continue;
      auto text = record->key ? std::string(as_text(*record->key)) : std::string();
      if (record->value) text += "=" + std::string(as_text(*record->value));
      texts.emplace(record->offset, std::move(text));
    }
    REQUIRE(reader.finish());
    batches = batches.subspan(batch->bytes.size());
  }
}

RecordTexts records_of(const storage::LogView& view) {
  RecordTexts texts;
  auto from = view.log_start_offset();
  while (from < view.log_end_offset()) {
    const auto slice = view.read(from, 1 << 16);
    if (!slice) FAIL("at " << to_string(from) << ": " << to_string(slice.error()));
    REQUIRE(slice->next_offset > from);
    add_records(texts, slice->batches, from);
    from = slice->next_offset;
  }
  return texts;
}

std::optional<std::string> key_of(const std::string& text) {
  const auto key = text.substr(0, text.find('='));
  return key.empty() ? std::nullopt : std::optional{key};
}

std::optional<std::string> wrong_compaction(const RecordTexts& appended, const RecordTexts& found, bool tombstones_may_go) {
  std::map<std::string, Offset> latest;
  for (const auto& [offset, text] : found) {
    const auto before = appended.find(offset);
    if (before == appended.end()) return "offset " + to_string(offset) + " was never appended: " + text;
    if (before->second != text) return "offset " + to_string(offset) + " was " + before->second + " and is " + text;
    if (const auto key = key_of(text)) latest[*key] = offset;
  }
  for (const auto& [offset, text] : appended) {
    if (found.contains(offset)) continue;
    const auto key = key_of(text);
    if (!key) return "offset " + to_string(offset) + " has no key and is gone";
    const auto later = latest.find(*key);
    if (later != latest.end() && later->second > offset) continue;
    const bool tombstone = text.find('=') == std::string::npos;
    if (tombstone && tombstones_may_go && later == latest.end()) continue;
    // A later tombstone of it may have gone before: then it is the one that was to be missed.
    if (!tombstone && tombstones_may_go && later == latest.end()) {
      bool deleted = false;
      for (auto at = appended.upper_bound(offset); at != appended.end() && !deleted; ++at) deleted = at->second == *key;
      if (deleted) continue;
    }
    return "offset " + to_string(offset) + " is gone and was the latest of its key: " + text;
  }
  return std::nullopt;
}

Result<int> compact(storage::PartitionLog& log, Offset& first_dirty, Offset removable_before,
                    const storage::LogCleaning::Options& options, std::size_t step_bytes) {
  for (int plans = 0;; ++plans) {
    auto plan = log.plan_cleaning(first_dirty, removable_before, options.now);
    if (!plan) return plans;
    TROUPE_TRY(log.settle_closed());
    storage::LogCleaning cleaning{std::move(*plan), options};
    for (bool done = false; !done;) {
      TROUPE_TRY_ASSIGN(const auto step, cleaning.step(step_bytes));
      done = step.done;
      if (!step.swap) continue;
      TROUPE_TRY(log.replace(*step.swap));
      if (step.swap->clean_below) first_dirty = *step.swap->clean_below;
    }
  }
}

}  // namespace troupe::test
