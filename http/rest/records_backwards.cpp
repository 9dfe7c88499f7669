#include <algorithm>

#include "http/rest/records_walk.hpp"

namespace troupe::http {
namespace {

constexpr std::size_t lanes_at_once = 8;
constexpr std::size_t fetch_bytes_max = std::size_t{1} << 20;
constexpr std::size_t window_bytes_max = std::size_t{2} << 20;
constexpr std::int64_t window_max = 65'536;

}  // namespace

/// Gives what is known to be newest, and reads a window of each partition that has none to compare.
void RecordsRead::read_windows() {
  give_newest();
  if (full() || scanned_ >= plan_.scanned_bytes_max) return finish();
  round_.clear();
  for (std::size_t i = 0; i < lanes_.size() && round_.size() < lanes_at_once; ++i) {
    if (lanes_[i].records.empty() && !lanes_[i].at_end) round_.push_back(i);
  }
  if (round_.empty()) return finish();
  pending_ = round_.size();
  for (const auto lane : std::vector(round_)) read_window(lane);
}

void RecordsRead::read_window(std::size_t lane) {
  auto& one = lanes_[lane];
  one.window_from = std::max(one.start, Offset{std::max<std::int64_t>(0, one.position.value() - one.window)});
  one.read_to = one.window_from;
  one.window_bytes = 0;
  one.cut = false;
  fetch(lane, {.partition = id_of(one), .from = one.window_from, .bytes_max = fetch_bytes_max, .up_to = one.position});
}

void RecordsRead::take_backwards(std::size_t lane, const FetchResponse& fetched) {
  auto& one = lanes_[lane];
  const auto before = one.read_to;
  bool complete = fetched.batches.empty();
  const auto room = limit_ - page_.records.size();
  auto walked = walk(fetched, one, [&](const record::RecordView& record, LeaderEpoch) {
    if (record.offset >= one.position) {
      complete = true;
      return false;
    }
    ReadRecord read{one.partition, record.offset, record.timestamp, !record.value};
    append_record(read.json, one.partition, record, plan_.format);
    one.window_bytes += read.json.size();
    one.records.push_back(std::move(read));
    while (one.records.size() > room || (one.records.size() > 1 && one.window_bytes > plan_.bytes_max)) {
      one.window_bytes -= one.records.front().json.size();
      one.records.pop_front();
      one.cut = true;
    }
    return true;
  });
  if (!walked) return fail(std::move(walked).error());
  if (complete || one.read_to >= one.position) {
    end_window(one);
    return step_done();
  }
  // Large records: a window that would take many fetches is made as small as two mebibytes, at its upper end.
  const auto covered = one.read_to - before;
  const auto affordable =
      std::max<std::int64_t>(1, covered * static_cast<std::int64_t>(window_bytes_max) /
                                    static_cast<std::int64_t>(std::max<std::size_t>(fetched.batches.size(), 1)));
  if (before == one.window_from && one.position - affordable > one.read_to) {
    one.window = affordable;
    one.records.clear();
    return read_window(lane);
  }
  fetch(lane, {.partition = id_of(one), .from = one.read_to, .bytes_max = fetch_bytes_max, .up_to = one.position});
}

void RecordsRead::end_window(Lane& lane) {
  if (!lane.records.empty()) return;
  lane.position = lane.window_from;
  lane.at_end = lane.position <= lane.start;
  lane.window = std::min(lane.window * 4, window_max);
}

void RecordsRead::give_newest() {
  const auto unknown = [](const Lane& lane) { return lane.records.empty() && !lane.at_end; };
  while (!full() && std::ranges::none_of(lanes_, unknown)) {
    Lane* newest = nullptr;
    for (auto& lane : lanes_) {
      if (lane.records.empty()) continue;
      if (newest == nullptr || lane.records.back().timestamp > newest->records.back().timestamp) newest = &lane;
    }
    if (newest == nullptr) return;
    const auto offset = newest->records.back().offset;
    if (!give(*newest, std::move(newest->records.back()))) return;
    newest->records.pop_back();
    newest->position = offset;
    if (!newest->records.empty()) continue;
    if (!newest->cut) newest->position = newest->window_from;
    newest->at_end = newest->position <= newest->start;
  }
}

}  // namespace troupe::http
