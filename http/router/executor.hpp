#pragma once

#include <memory>
#include <utility>

namespace troupe::http {

/// One thread that runs what is posted to it, in order.
class Executor {
 public:
  virtual ~Executor() = default;

  /// Any thread.
  template <class Function>
  void post(Function function) {
    post_work(std::make_unique<WorkOf<Function>>(std::move(function)));
  }

  struct Work {
    virtual ~Work() = default;
    virtual void run() = 0;
  };

 private:
  template <class Function>
  struct WorkOf final : Work {
    explicit WorkOf(Function function) : function_(std::move(function)) {}
    void run() override { function_(); }
    Function function_;
  };
  virtual void post_work(std::unique_ptr<Work> work) = 0;
};

}  // namespace troupe::http
