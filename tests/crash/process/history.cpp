#include "tests/crash/process/history.hpp"

#include <fstream>
#include <limits>
#include <sstream>

namespace troupe::test {
namespace {

bool apply_ack(History& history, std::istringstream& words) {
  std::int64_t appended_ms = 0;
  if (!(words >> appended_ms)) return false;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::uint64_t sequence = 0;
  char colon = ':';
  while (words >> partition >> colon >> offset >> colon >> sequence) {
    history.partitions[partition].acks[offset] = {sequence, appended_ms};
    ++history.acks;
  }
  return words.eof();
}

bool apply_change(History& history, const std::string& verb, std::istringstream& words) {
  std::int32_t number = 0;
  std::int64_t offset = 0;
  if (!(words >> number >> offset)) return false;
  auto& partition = history.partitions[number];
  std::uint64_t sequence = 0;
  if (verb == "open") {
    partition.seams.insert(offset);
  } else if (verb == "cut?" || verb == "reset?") {
    const auto from = verb == "cut?" ? offset : std::numeric_limits<std::int64_t>::min();
    partition.acks.erase(partition.acks.lower_bound(from), partition.acks.end());
    partition.seams.insert(offset);
  } else if (verb == "cut" || verb == "reset") {
    if (!(words >> sequence)) return false;
    partition.gone.push_back({verb == "cut" ? offset : 0, sequence});
  } else if (verb == "start?") {
    partition.start_pending = offset;
  } else if (verb == "start") {
    partition.start_done = std::max(partition.start_done, offset);
    partition.start_pending.reset();
  } else if (verb == "lost") {
    partition.acks.erase(partition.acks.lower_bound(offset), partition.acks.end());
  } else {
    return false;
  }
  return true;
}

bool apply_line(History& history, const std::string& line) {
  std::istringstream words{line};
  std::string verb;
  words >> verb;
  if (verb == "ack") return apply_ack(history, words);
  if (verb == "flushed") return static_cast<bool>(words >> history.flushed_ms);
  if (verb == "settled") {
    for (auto& [number, partition] : history.partitions) {
      for (const auto& [offset, ack] : partition.acks)
        partition.settled_ms = std::max(partition.settled_ms, ack.appended_ms);
    }
    return true;
  }
  if (verb == "error") {
    ++history.errors;
    return true;
  }
  if (verb == "read" || verb == "finding" || verb == "closed" || verb == "failed") return true;
  return apply_change(history, verb, words);
}

}  // namespace

Result<History> read_history(const std::string& path) {
  std::ifstream file{path};
  if (!file) return Error{Errc::not_found, path + " cannot be opened"};
  History history;
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    if (file.eof()) break;  // its writer died in the middle of it: nobody has read it
    if (!apply_line(history, line))
      return Error{Errc::invalid_argument, path + " line " + std::to_string(number) + ": " + line.substr(0, 200)};
  }
  return history;
}

}  // namespace troupe::test
