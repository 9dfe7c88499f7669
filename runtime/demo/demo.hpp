#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "core/broker_api.hpp"
#include "runtime/demo/fleet.hpp"

namespace troupe::runtime {

/// Keeps the demo pages moving: makes the topics DriverLocations and ChatMessages, produces every driver's position once a second, fills
/// the chat's rooms when they are new, and says a line now and then. One thread; only the broker's interface.
class Demo {
 public:
  struct Line {
    std::string room;
    std::string value;  ///< JSON
  };

  /// `broker` and `clock` outlive the demo. Errors: corrupt_message (the data).
  static Result<std::unique_ptr<Demo>> start(BrokerApi& broker, const Clock& clock, std::string_view drivers_json,
                                             std::string_view chat_jsonl);
  /// Ends the thread.
  ~Demo();
  Demo(const Demo&) = delete;
  Demo& operator=(const Demo&) = delete;

  std::size_t drivers() const { return fleet_.size(); }

 private:
  Demo(BrokerApi& broker, const Clock& clock, Fleet fleet, std::vector<Line> chat);

  void run();
  bool pause(Millis ms);
  metadata::TopicPtr topic(const std::string& name, std::int32_t partitions, std::map<std::string, std::string> config,
                           bool& made);
  void drive(const metadata::TopicPtr& topic, MonotonicMs now);
  void say(const metadata::TopicPtr& topic, std::size_t first, std::size_t count);

  BrokerApi& broker_;
  const Clock& clock_;
  const Fleet fleet_;
  const std::vector<Line> chat_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  MonotonicMs started_{0};
  std::size_t next_line_ = 0;
  std::thread thread_;
};

}  // namespace troupe::runtime
