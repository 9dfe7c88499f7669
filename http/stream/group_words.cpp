#include "http/stream/group_words.hpp"

#include <map>

#include "http/json/json_syntax.hpp"
#include "http/stream/ws_parts.hpp"

namespace troupe::http {
namespace {

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

/// {"Orders":[0,3]}
std::string names_of(const GroupStream& stream, const group::PartitionList& partitions) {
  std::map<std::string, std::string> by_topic;
  for (const auto& id : partitions) {
    auto& numbers = by_topic[stream.topic_of(id)];
    numbers += (numbers.empty() ? "" : ",") + to_string(id.partition);
  }
  std::string text = "{";
  for (const auto& [topic, numbers] : by_topic) {
    text += (text.size() > 1 ? "," : "") + quoted(topic) + ":[" + numbers + "]";
  }
  return text + "}";
}

std::string_view reason_of(ConsumerReset::Reason reason) {
  switch (reason) {
    case ConsumerReset::Reason::retention: return "retention";
    case ConsumerReset::Reason::log_cut: return "not_this_log";
    case ConsumerReset::Reason::seek: return "seek";
    case ConsumerReset::Reason::group: break;
  }
  return "group";
}

struct Speaker {
  const GroupStream& stream;

  GroupWords operator()(const ConsumerAssigned& event) const {
    group::PartitionList partitions;
    for (const auto& one : event.partitions) partitions.push_back(one.partition);
    return {"assigned", "\"generation\":" + to_string(event.epoch) + "," + of(partitions)};
  }
  GroupWords operator()(const ConsumerRevoking& event) const {
    return {"revoking", of(event.partitions) + ",\"deadline_ms\":" + std::to_string(event.within_ms)};
  }
  GroupWords operator()(const ConsumerRevoked& event) const {
    return {"revoked", of(event.partitions) + ",\"in_time\":" + (event.in_time ? "true" : "false")};
  }
  GroupWords operator()(const ConsumerLost& event) const { return {"lost", of(event.partitions)}; }
  GroupWords operator()(const ConsumerReset& event) const {
    const bool gap = event.reason == ConsumerReset::Reason::retention;
    GroupWords words{gap ? "gap" : "reset",
                     "\"partitions\":{" + quoted(event.topic) + ":{\"" + to_string(event.partition.partition) +
                         "\":{\"from\":" + to_string(event.from) + ",\"to\":" + to_string(event.to) + "}}},\"reason\":\""};
    words.members += reason_of(event.reason);
    words.members += gap ? "\",\"action\":\"continue\"" : "\"";
    return words;
  }
  GroupWords operator()(const ConsumerPaused& event) const { return {event.paused ? "paused" : "resumed", {}}; }
  GroupWords operator()(const ConsumerFailed& event) const {
    GroupWords words{"ended"};
    append_error(words.error, event.error);
    return words;
  }
  GroupWords operator()(const ConsumerRecords&) const { return {}; }
  GroupWords operator()(const ConsumerClosed&) const { return {}; }

  std::string of(const group::PartitionList& partitions) const { return "\"partitions\":" + names_of(stream, partitions); }
};

}  // namespace

GroupWords words_of(const GroupStream& stream, const ConsumerEvent& event) { return std::visit(Speaker{stream}, event); }

}  // namespace troupe::http
