#pragma once

#include <string>
#include <string_view>

#include "core/consumer/rest_calls.hpp"
#include "core/record/record_batch.hpp"

namespace troupe::http {

/// The media type of records in that format.
std::string_view records_type(consumer::RestFormat format);

/// One record, as the REST proxy's version 2 shows it, behind what the list `out` has. False: its value cannot be shown in the instance's
/// format, and nothing was added. Source: rest-api.md B1.3.
bool append_record_v2(std::string& out, const std::string& topic, PartitionId partition, const record::RecordView& record,
                      const consumer::RestOptions& options);

}  // namespace troupe::http
