#include "http/stream/streams.hpp"

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "core/cluster_api.hpp"
#include "http/message/authority.hpp"
#include "http/stream/connection.hpp"

namespace troupe::http {
namespace {

constexpr auto tick_period = std::chrono::seconds(1);
constexpr Millis drain_ms = 10'000;  // for clients of a broker that an operator drains

MonotonicMs steady_now() {
  return MonotonicMs{
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count()};
}
std::chrono::steady_clock::time_point steady_at(MonotonicMs when) {
  return std::chrono::steady_clock::time_point(std::chrono::milliseconds(when.value()));
}

}  // namespace

struct Streams::Shared {
  explicit Shared(metrics::Registry& registry) : counters(std::make_shared<StreamCounters>(registry)) {
    registry.before_exposition([kept = counters] { kept->buffered.set(static_cast<double>(kept->buffered_bytes)); });
  }
  std::shared_ptr<StreamCounters> counters;
  const std::shared_ptr<SessionBook> sessions = std::make_shared<SessionBook>();
};

/// Three clocks a thread, none a socket: a flush for all who wait for one, a queue of early wakes, and a tick a second.
struct Streams::Impl {
  Impl(asio::io_context& io, BrokerApi& broker, ProduceTurn& produce_turn, const GatewayOptions& gateway_options,
       std::shared_ptr<Shared> kept)
      : options(gateway_options),
        shared(std::move(kept)),
        flush_timer(io.get_executor()),
        wake_timer(io.get_executor()),
        tick_timer(io.get_executor()),
        drain_timer(io.get_executor()),
        env(std::make_shared<StreamEnv>(StreamEnv{
            .broker = broker,
            .produce_turn = produce_turn,
            .hub = std::make_shared<FanoutHub>(broker, [&io](std::function<void()> f) { asio::post(io, std::move(f)); }),
            .spare = std::make_shared<OutMessage>(),
            .limits = options.limits,
            .counters = shared->counters,
            .sessions = shared->sessions,
            .now = steady_now,
            .wall_now = [this] { return clock.wall_now(); },
            .flush_soon = [this](std::weak_ptr<Scheduled> who) { flush_soon(std::move(who)); },
            .wake_at = [this](std::weak_ptr<Scheduled> who, MonotonicMs when) { wake_at(std::move(who), when); }})) {
    env->hub->set_clock(steady_now);
  }

  void add(ConnectionPtr connection) {
    connections.insert(connection);
    connection->start();
    if (draining) connection->drain(0, {});
    arm_tick();
  }
  Gone when_gone() {
    return [this](Connection& connection) { connections.erase(connection.shared_from_this()); };
  }

  void flush_soon(std::weak_ptr<Scheduled> who) {
    to_flush.push_back(std::move(who));
    if (to_flush.size() > 1) return;
    const auto flush_ms = options.limits.flush_ms;
    flush_timer.expires_after(std::chrono::milliseconds(std::max(flush_ms, env->hub->pause_ms(flush_ms))));
    flush_timer.async_wait([this](boost::system::error_code error) {
      if (error) return;
      const auto now = steady_now();
      for (const auto& one : std::exchange(to_flush, {})) {
        if (const auto alive = one.lock()) alive->flush(now);
      }
    });
  }

  void wake_at(std::weak_ptr<Scheduled> who, MonotonicMs when) {
    wakes.emplace(when, std::move(who));
    if (wakes.begin()->first == when) arm_wakes();
  }
  void arm_wakes() {
    if (wakes.empty()) return;
    wake_timer.expires_at(steady_at(wakes.begin()->first));
    wake_timer.async_wait([this](boost::system::error_code error) {
      if (error) return;
      const auto now = steady_now();
      std::vector<std::weak_ptr<Scheduled>> due;
      while (!wakes.empty() && wakes.begin()->first <= now) {
        due.push_back(std::move(wakes.begin()->second));
        wakes.erase(wakes.begin());
      }
      for (const auto& one : due) {
        if (const auto alive = one.lock()) alive->tick(now);
      }
      arm_wakes();
    });
  }

  /// Ticks while there is anything to look at.
  void arm_tick() {
    if (std::exchange(ticking, true)) return;
    tick_timer.expires_after(tick_period);
    tick_timer.async_wait([this](boost::system::error_code error) {
      if (error) return;
      ticking = false;
      const auto now = steady_now();
      env->hub->tick(now);
      look_for_drain();
      for (const auto& connection : std::vector(connections.begin(), connections.end())) connection->tick(now);
      const bool waited_for = env->sessions->sweep(now);
      if (!connections.empty() || env->hub->partitions() > 0 || waited_for) arm_tick();
    });
  }

  /// Where the other nodes take WebSockets, those that stay.
  std::vector<std::string> other_nodes() const {
    const auto self = env->broker.cluster().node_id;
    std::vector<std::string> urls;
    const auto image = env->broker.cluster_api().image();
    for (const auto& one : image->registrations()) {
      const auto& broker = one.broker;
      if (broker.id == self || one.fenced || one.draining || one.stopping) continue;
      if (broker.port == 0 || !is_somewhere(broker.host)) continue;
      urls.push_back("ws://" + authority_of(broker.host, broker.port) + "/v1/ws");
    }
    return urls;
  }

  /// An operator drains this broker: those who are here then are told to leave. Who comes all the same is served.
  void look_for_drain() {
    const auto image = env->broker.cluster_api().image();
    const auto* self = image->find_broker(env->broker.cluster().node_id);
    if (self == nullptr || !self->draining) {
      told_of_drain = false;
    } else if (!draining && !told_of_drain) {
      const auto nodes = other_nodes();
      if (nodes.empty()) return;  // nowhere to go, yet
      told_of_drain = true;
      for (const auto& connection : std::vector(connections.begin(), connections.end())) connection->drain(drain_ms, nodes);
    }
  }

  void drain(Millis deadline_ms) {
    draining = true;
    const auto nodes = other_nodes();
    for (const auto& connection : std::vector(connections.begin(), connections.end())) connection->drain(deadline_ms, nodes);
    drain_timer.expires_after(std::chrono::milliseconds(deadline_ms));
    drain_timer.async_wait([this](boost::system::error_code error) {
      if (error) return;
      for (const auto& connection : std::vector(connections.begin(), connections.end())) connection->abort();
    });
  }

  const GatewayOptions& options;
  std::shared_ptr<Shared> shared;
  SystemClock clock;
  Timer flush_timer;
  Timer wake_timer;
  Timer tick_timer;
  Timer drain_timer;
  std::shared_ptr<StreamEnv> env;
  std::set<ConnectionPtr> connections;
  std::vector<std::weak_ptr<Scheduled>> to_flush;
  std::multimap<MonotonicMs, std::weak_ptr<Scheduled>> wakes;
  bool ticking = false;
  bool draining = false;       ///< the node ends
  bool told_of_drain = false;  ///< that the broker is drained
};

std::shared_ptr<Streams::Shared> Streams::share(const GatewayOptions& /*options*/, metrics::Registry& metrics) {
  return std::make_shared<Shared>(metrics);
}

Streams::Streams(asio::io_context& io, BrokerApi& broker, ProduceTurn& produce_turn, const GatewayOptions& options,
                 std::shared_ptr<Shared> shared)
    : impl_(std::make_unique<Impl>(io, broker, produce_turn, options, std::move(shared))) {}

Streams::~Streams() {
  for (const auto& connection : std::vector(impl_->connections.begin(), impl_->connections.end())) connection->abort();
}

namespace {

/// Writes are merged here already: Nagle's algorithm would only add the peer's delayed acknowledgement to each.
void send_at_once(TcpSocket& socket) {
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
}

}  // namespace

void Streams::accept_websocket(TcpSocket socket, beast::flat_buffer buffer, EmptyRequest request, std::string query) {
  send_at_once(socket);
  impl_->add(make_websocket(impl_->env, std::move(socket), std::move(buffer), std::move(request), std::move(query),
                            impl_->when_gone()));
}

void Streams::accept_events(TcpSocket socket, EmptyRequest request, std::string topic, std::string query) {
  send_at_once(socket);
  impl_->add(make_events(impl_->env, impl_->options, std::move(socket), std::move(request), std::move(topic),
                         std::move(query), impl_->when_gone()));
}

void Streams::drain(Millis deadline_ms) { impl_->drain(deadline_ms); }

std::size_t Streams::open() const { return impl_->connections.size(); }

}  // namespace troupe::http
