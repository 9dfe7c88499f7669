#pragma once

#include <algorithm>

#include "core/record/record_batch.hpp"
#include "http/rest/records_read.hpp"

namespace troupe::http {

/// Calls `take(record, epoch)` for each record that the plan wants; false ends the walk before that record.
template <class Take>
Status RecordsRead::walk(const FetchResponse& fetched, Lane& lane, Take take) {
  auto rest = fetched.batches.view();
  while (!rest.empty()) {
    TROUPE_TRY_ASSIGN(const auto batch, record::parse_batch(rest));
    rest = rest.subspan(batch.bytes.size());
    if (batch.header.is_control() || batch.header.next_offset() <= lane.read_to) continue;
    TROUPE_TRY_ASSIGN(const auto block, record::open_records(batch, {}));
    record::RecordReader reader(batch.header, block.bytes);
    while (const auto one = reader.next()) {
      if (one->offset < lane.read_to) continue;
      const bool wanted = !plan_.key || (one->key && as_text(*one->key) == *plan_.key);
      if (wanted && !take(*one, batch.header.leader_epoch)) return ok();
      lane.read_to = one->offset + 1;
    }
    TROUPE_TRY(reader.finish());
    lane.read_to = std::max(lane.read_to, batch.header.next_offset());
  }
  return ok();
}

}  // namespace troupe::http
