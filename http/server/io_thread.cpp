#include "http/server/io_thread.hpp"

#include "base/log.hpp"
#include "http/rest/consumer_instances.hpp"
#include "http/server/response_head.hpp"
#include "http/server/session.hpp"

namespace troupe::http {
namespace {

constexpr auto sweep_period = std::chrono::milliseconds(50);

template <class Function>
void guarded(Function function) {
  try {
    function();
  } catch (const std::exception& error) {
    log::error("a handler of the gateway threw", {log::kv("what", error.what())});
  }
}

}  // namespace

IoThread::IoThread(std::shared_ptr<Shared> shared, std::shared_ptr<Streams::Shared> streams_shared)
    : guard_(io_.get_executor()),
      shared_(std::move(shared)),
      streams_shared_(std::move(streams_shared)),
      produce_turn_(shared_->rest.broker, [this] { asio::post(io_, [this] { produce_turn_.flush(); }); }),
      sweep_timer_(io_.get_executor()) {}

IoThread::~IoThread() { stop(); }

void IoThread::start() {
  thread_ = std::thread([this] { run(); });
}

void IoThread::run() {
  streams_ = std::make_unique<Streams>(io_, shared_->rest.broker, produce_turn_, shared_->options, streams_shared_);
  while (!io_.stopped()) guarded([this] { io_.run(); });
  end();
}

void IoThread::end() {
  for (auto& session : std::vector(sessions_)) session->close();
  sessions_.clear();
  produce_turn_.flush();
  {
    const std::lock_guard lock(works_mutex_);
    ended_ = true;
  }
  io_.restart();
  guarded([this] { io_.poll(); });  // what was posted before, for sessions that are no more
  streams_.reset();
}

void IoThread::stop() {
  io_.stop();
  if (thread_.joinable()) thread_.join();
}

/// A busy thread is told once of all that has come since it looked. `work` outlives the lock: what it holds may post when it goes.
void IoThread::post_work(std::unique_ptr<Work> work) {
  const std::lock_guard lock(works_mutex_);
  if (ended_) return;
  works_.push_back(std::move(work));
  if (works_.size() == 1) asio::post(io_, [this] { run_works(); });
}

void IoThread::run_works() {
  std::vector<std::unique_ptr<Work>> works;
  {
    const std::lock_guard lock(works_mutex_);
    works.swap(works_);
  }
  for (auto& work : works) {
    guarded([&] { work->run(); });
    work.reset();
  }
}

void IoThread::serve(TcpSocket socket, std::string address) {
  asio::post(io_, [this, socket = std::move(socket), address = std::move(address)]() mutable {
    auto session = std::make_shared<Session>(*this, std::move(socket), std::move(address), sessions_.size());
    sessions_.push_back(session);
    session->start();
    arm_sweep();
  });
}

void IoThread::remove(Session& session) {
  const auto slot = session.slot();
  if (slot >= sessions_.size() || sessions_[slot].get() != &session) return;
  if (slot + 1 < sessions_.size()) {
    sessions_[slot] = std::move(sessions_.back());
    sessions_[slot]->set_slot(slot);
  }
  sessions_.pop_back();
}

void IoThread::arm_sweep() {
  if (sweep_armed_) return;
  sweep_armed_ = true;
  sweep_timer_.expires_after(sweep_period);
  sweep_timer_.async_wait([this](boost::system::error_code error) {
    sweep_armed_ = false;
    if (!error) sweep();
  });
}

void IoThread::sweep() {
  const auto time = now();
  // A session that closes takes itself out of the list: the last one comes into its place.
  for (std::size_t i = sessions_.size(); i-- > 0;) {
    if (i < sessions_.size()) sessions_[i]->sweep(time);
  }
  if (drained_ && sessions_.empty() && streams_->open() == 0) {
    const auto drained = std::move(drained_);
    drained_ = nullptr;
    return drained();
  }
  count_streams();
  auto& consumers = *shared_->rest.consumers;
  consumers.sweep(time);
  if (!sessions_.empty() || streams_counted_ > 0 || drained_ || consumers.size() > 0) arm_sweep();
}

void IoThread::count_streams() {
  const auto open = streams_->open();
  shared_->streams += open - streams_counted_;  // modulo 2^64: also downwards
  streams_counted_ = open;
}

void IoThread::drain(Millis deadline_ms, std::function<void()> drained) {
  asio::post(io_, [this, deadline_ms, drained = std::move(drained)]() mutable {
    drained_ = std::move(drained);
    streams_->drain(deadline_ms);
    for (auto& session : std::vector(sessions_)) session->drain();
    if (sessions_.empty() && streams_->open() == 0) {
      const auto done = std::move(drained_);
      drained_ = nullptr;
      return done();
    }
    arm_sweep();
  });
}

std::string_view IoThread::date() {
  const auto second = shared_->clock.wall_now().value() / 1000;
  if (second != date_second_) {
    date_second_ = second;
    date_ = http_date(second);
  }
  return date_;
}

void IoThread::count_request(const Route* route, unsigned status, double seconds) {
  const auto& routes = shared_->router.routes();
  const auto number = route == nullptr ? routes.size() : static_cast<std::size_t>(route - routes.data());
  const auto key = static_cast<std::uint64_t>(number) << 32U | status;
  auto found = requests_.find(key);
  if (found == requests_.end()) {
    const std::string op = route == nullptr ? "none" : std::string(route->op);
    auto& registry = shared_->rest.metrics;
    found = requests_
                .emplace(key, registry.counter("troupe_http_requests_total", "Requests answered",
                                               {{"op", op}, {"code", std::to_string(status)}}))
                .first;
    seconds_.try_emplace(route,
                         registry.histogram("troupe_http_request_seconds", "From a request's first byte to its answer",
                                            metrics::latency_buckets(), {{"op", op}}));
  }
  found->second.add();
  const auto histogram = seconds_.find(route);
  if (histogram != seconds_.end()) histogram->second.observe(seconds);
}

}  // namespace troupe::http
