#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

/// Numbers for Prometheus. Names begin with `troupe_`, units are base units (seconds, bytes), counters end in `_total`; label values
/// come from small sets: topic, code, op, kind; never a client, key or offset.
namespace troupe::metrics {

using Labels = std::map<std::string, std::string>;

/// Only grows. Copies count into the same series; a default-made one counts nowhere. Any thread.
class Counter {
 public:
  Counter() = default;
  void add(double amount = 1) const;

 private:
  friend class Registry;
  explicit Counter(void* series) : series_(series) {}
  void* series_ = nullptr;
};

/// Goes up and down.
class Gauge {
 public:
  Gauge() = default;
  void set(double value) const;
  void add(double amount) const;

 private:
  friend class Registry;
  explicit Gauge(void* series) : series_(series) {}
  void* series_ = nullptr;
};

/// A distribution.
class Histogram {
 public:
  Histogram() = default;
  void observe(double value) const;

 private:
  friend class Registry;
  explicit Histogram(void* series) : series_(series) {}
  void* series_ = nullptr;
};

/// From 100 us to 10 s, a step a factor of about 2.5.
std::vector<double> latency_buckets();

/// All series of one node. Asking for the same name and labels again gives the same series. Handles are valid as long as the registry.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram histogram(const std::string& name, const std::string& help, std::vector<double> buckets,
                      const Labels& labels = {});

  /// `refresh` is called before each exposition: sets gauges from what is counted elsewhere.
  void before_exposition(std::function<void()> refresh);

  /// The text format 0.0.4.
  std::string expose();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace troupe::metrics
