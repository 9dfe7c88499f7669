#include "runtime/demo/demo.hpp"

#include <algorithm>
#include <chrono>

#include <nlohmann/json.hpp>

#include "base/log.hpp"

namespace troupe::runtime {
namespace {

constexpr Millis tick_ms = 1000;
constexpr Millis retry_ms = 500;
constexpr int ticks_a_line = 7;
constexpr std::size_t lines_at_first = 200;

Result<std::vector<Demo::Line>> parse_chat(std::string_view jsonl) {
  std::vector<Demo::Line> lines;
  while (!jsonl.empty()) {
    const auto end = std::min(jsonl.find('\n'), jsonl.size());
    const auto text = jsonl.substr(0, end);
    jsonl.remove_prefix(std::min(end + 1, jsonl.size()));
    if (text.empty()) continue;
    const auto line = nlohmann::json::parse(text, nullptr, false);
    if (!line.is_object() || !line.contains("room") || !line.contains("from") || !line.contains("text")) {
      return Error{Errc::corrupt_message, "the chat's data: not a line of chat: " + std::string(text.substr(0, 80))};
    }
    const auto value = nlohmann::json{{"from", line["from"]}, {"text", line["text"]}};
    lines.push_back({line["room"].get<std::string>(), value.dump()});
  }
  return lines;
}

/// Records of one request, with the memory that they point into.
class Batch {
 public:
  void add(std::string_view key, std::string_view value) {
    places_.push_back({memory_.size(), key.size(), value.size()});
    memory_ += key;
    memory_ += value;
  }

  ProduceRequest request(const metadata::TopicPtr& topic) {
    ProduceRequest request{.topic = topic, .memory = Bytes::copy_of(as_bytes(memory_))};
    const auto bytes = request.memory.view();
    for (const auto& [at, key, value] : places_) {
      request.records.push_back({.key = bytes.subspan(at, key), .value = bytes.subspan(at + key, value)});
    }
    return request;
  }

 private:
  struct Place {
    std::size_t at;
    std::size_t key_size;
    std::size_t value_size;
  };
  std::string memory_;
  std::vector<Place> places_;
};

}  // namespace

Result<std::unique_ptr<Demo>> Demo::start(BrokerApi& broker, const Clock& clock, std::string_view drivers_json,
                                          std::string_view chat_jsonl) {
  TROUPE_TRY_ASSIGN(auto fleet, Fleet::parse(drivers_json));
  TROUPE_TRY_ASSIGN(auto chat, parse_chat(chat_jsonl));
  auto demo = std::unique_ptr<Demo>(new Demo(broker, clock, std::move(fleet), std::move(chat)));
  demo->thread_ = std::thread([raw = demo.get()] { raw->run(); });
  return demo;
}

Demo::Demo(BrokerApi& broker, const Clock& clock, Fleet fleet, std::vector<Line> chat)
    : broker_(broker), clock_(clock), fleet_(std::move(fleet)), chat_(std::move(chat)) {}

Demo::~Demo() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool Demo::pause(Millis ms) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, std::chrono::milliseconds(ms), [&] { return stopping_; });
}

metadata::TopicPtr Demo::topic(const std::string& name, std::int32_t partitions, std::map<std::string, std::string> config,
                               bool& made) {
  if (auto found = broker_.topic(name)) return found;
  broker_.create_topic({.name = name, .partitions = partitions, .config = std::move(config)},
                       Reply<metadata::TopicPtr>{[name](Result<metadata::TopicPtr> topic) {
                         if (!topic && topic.error().code != Errc::topic_already_exists) {
                           log::warn("demo topic not made", {log::kv("topic", name), log::kv("error", topic.error())});
                         }
                       }});
  made = true;
  return nullptr;
}

void Demo::run() {
  started_ = clock_.monotonic_now();
  bool made_drivers = false;
  bool made_chat = false;
  metadata::TopicPtr drivers;
  metadata::TopicPtr chat;
  while (!drivers || !chat) {
    drivers = topic("DriverLocations", 4, {{"retention.ms", "3600000"}, {"segment.ms", "600000"}}, made_drivers);
    chat = topic("ChatMessages", 4, {}, made_chat);
    if ((!drivers || !chat) && !pause(drivers || chat ? 1 : retry_ms)) return;
  }
  if (made_chat) say(chat, 0, std::min(lines_at_first, chat_.size()));

  for (int tick = 0;; ++tick) {
    drive(drivers, clock_.monotonic_now());
    if (tick % ticks_a_line == ticks_a_line - 1 && !chat_.empty()) {
      // Beyond the lines that filled the rooms, and round again.
      say(chat, (lines_at_first + next_line_++) % chat_.size(), 1);
    }
    if (!pause(tick_ms)) return;
  }
}

void Demo::drive(const metadata::TopicPtr& topic, MonotonicMs now) {
  Batch batch;
  const auto at = clock_.wall_now();
  for (const auto& position : fleet_.at(now - started_)) batch.add(position.id, to_json(position, at));
  // What fails is not said again: the next position comes in a second.
  broker_.produce(batch.request(topic), Reply<ProduceResponse>{[](Result<ProduceResponse>) {}});
}

void Demo::say(const metadata::TopicPtr& topic, std::size_t first, std::size_t count) {
  Batch batch;
  for (std::size_t i = first; i < first + count && i < chat_.size(); ++i) batch.add(chat_[i].room, chat_[i].value);
  broker_.produce(batch.request(topic), Reply<ProduceResponse>{[](Result<ProduceResponse>) {}});
}

}  // namespace troupe::runtime
