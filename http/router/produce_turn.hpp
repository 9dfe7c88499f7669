#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "core/broker_api.hpp"

namespace troupe::http {

/// The produce requests that one turn of an I/O thread has read, from whichever connections: they go to the broker together. Handing over
/// wakes another thread, which costs as much as a whole request; a busy thread pays it once for all that was there to read.
///
///   read, parse, add | read, parse, add | read, parse, add | flush --> BrokerApi::produce_all
///
/// Used on its thread only.
class ProduceTurn {
 public:
  /// More than that goes at once: the broker works on it meanwhile.
  static constexpr std::size_t requests_max = 16;

  /// `flush_later` has `flush` called behind what the thread has to do now.
  ProduceTurn(BrokerApi& broker, std::function<void()> flush_later)
      : broker_(broker), flush_later_(std::move(flush_later)) {}

  void add(ProduceRequest request, Reply<ProduceResponse> reply) {
    if (calls_.empty()) calls_.reserve(requests_max);
    calls_.push_back({std::move(request), std::move(reply)});
    if (calls_.size() == requests_max) return flush();
    if (calls_.size() == 1) flush_later_();
  }
  void flush() {
    if (calls_.empty()) return;
    broker_.produce_all(std::exchange(calls_, {}));
  }

 private:
  BrokerApi& broker_;
  const std::function<void()> flush_later_;
  std::vector<ProduceCall> calls_;
};

}  // namespace troupe::http
