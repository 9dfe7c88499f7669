#include "runtime/node/serve.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "base/log.hpp"
#include "http/gateway.hpp"
#include "runtime/config/schema.hpp"
#include "runtime/demo/demo.hpp"
#include "runtime/node/node.hpp"
#include "runtime/node/port_holder.hpp"
#include "runtime/web/embedded_files.hpp"

namespace troupe::runtime {
namespace {

constexpr Millis start_ms_max = 600'000;  // a recovery may have much to read
constexpr Millis leave_ms_max = 600;      // for others to lead what this node leads
constexpr Millis drain_ms_max = 800;      // of requests and streams
// To end. A disk worker syncs what its segments hold, one sync of the file system when they are many, and that waits for what others have
// written there, too. To be killed in the middle of it helps nobody: its thread ends with the sync.
constexpr Millis actors_ms_max = 6'000;
constexpr Millis watchdog_ms_max = 10'000;  // for the whole stop

/// Ends the process when a stop hangs: what was acknowledged is on disk, and a process that neither serves nor ends helps nobody.
class Watchdog {
 public:
  Watchdog()
      : thread_([this] {
          std::unique_lock lock(mutex_);
          if (changed_.wait_for(lock, std::chrono::milliseconds(watchdog_ms_max), [this] { return over_; })) return;
          log::error("the node did not stop in time and is ended", {log::kv("after_ms", watchdog_ms_max)});
          ::_exit(1);
        }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

int fail(const std::string& what) {
  std::fprintf(stderr, "troupe: %s\n", what.c_str());
  return 1;
}

/// Signals come to one thread, which asks for them.
sigset_t take_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
  sigaction(SIGXFSZ, &ignore, nullptr);  // a file size limit is an error of write, and so a full disk
  return signals;
}

/// The soft limit on descriptors goes up to the hard one. Error: fewer than the node needs.
Status check_descriptors(const NodeConfig& config) {
  // Those open for reading, those that wait for a sync, and something for sockets and the rest.
  const rlim_t needed = 2 * static_cast<rlim_t>(config.open_files_max) + 128;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return ok();
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= needed) return ok();
  return Error{Errc::invalid_argument, "the process may open " + std::to_string(limit.rlim_cur) + " files, it needs " +
                                           std::to_string(needed) +
                                           ": raise the limit (ulimit -n) or lower storage.open_files_max"};
}

std::vector<http::StaticFile> pages() {
  constexpr std::string_view index = "index.html";
  std::vector<http::StaticFile> files;
  for (const auto& file : web_files()) {
    auto path = "/" + std::string(file.path);
    if (path.ends_with("/index.html")) path.resize(path.size() - index.size());
    files.push_back(
        {std::move(path), std::string(file.content_type), std::string(file.content), "\"" + std::string(file.etag) + "\""});
  }
  return files;
}

std::vector<http::BrokerSetting> settings_of(const NodeConfig& config) {
  const NodeConfig defaults;
  std::vector<http::BrokerSetting> all;
  for (const auto& setting : settings()) {
    all.push_back(
        {std::string(setting.name), to_text(setting, setting.get(config)), to_text(setting, setting.get(defaults))});
  }
  return all;
}

std::string_view demo_file(std::string_view name) {
  for (const auto& file : demo_files()) {
    if (file.path == name) return file.content;
  }
  return {};
}

void configure_log(const NodeConfig& config) {
  const bool text =
      config.log_format == LogFormat::text || (config.log_format == LogFormat::automatic && ::isatty(STDERR_FILENO) == 1);
  log::configure(config.log_level, text ? log::Format::text : log::Format::json);
}

/// Behind "address in use": who has it, and what to do.
std::string who_listens(const NodeConfig& config) {
  const auto port = config.gateway.port;
  const auto holder = listener_of(port);
  const auto who = holder ? " by " + *holder : " (ss -ltnp 'sport = :" + std::to_string(port) + "' shows by whom)";
  return who + "; end it, or choose another address with --http";
}

/// What a person needs, and nothing more. On standard error: standard output stays data.
void announce(const NodeConfig& config, const std::string& version, std::uint16_t port, Millis took_ms,
              std::size_t drivers) {
  const auto& host = config.gateway.host;
  const auto at = (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
  const bool loopback = host.starts_with("127.") || host == "::1" || host == "localhost";
  const auto what = config.cluster.listen.empty()
                        ? "single node " + std::to_string(config.node_id)
                        : "node " + std::to_string(config.node_id) + " of a cluster at " + config.cluster.listen +
                              (config.cluster.tls.certificate.empty() ? ", no TLS" : ", TLS") + " between nodes";
  std::fprintf(stderr, "troupe %s  %s, data in %s, %s\n", version.c_str(), what.c_str(), config.data_dir.c_str(),
               loopback ? "loopback only, no authentication" : "no authentication");
  std::fprintf(stderr, "  pages      http://%s/\n", at.c_str());
  // As it stands it works: nothing else has to be there first.
  const auto curl = drivers > 0 ? "curl 'http://" + at + "/v1/topics/ChatMessages/records?from=last:3'"
                                : "curl --json '{\"name\":\"orders\"}' http://" + at + "/v1/topics";
  std::fprintf(stderr, "  REST       %s\n", curl.c_str());
  std::fprintf(stderr, "  WebSocket  ws://%s/v1/ws\n", at.c_str());
  std::fprintf(stderr, "  metrics    http://%s/metrics\n", at.c_str());
  const auto demo =
      drivers == 0 ? std::string{"Ctrl-C stops"} : "demo: " + std::to_string(drivers) + " drivers, a chat; Ctrl-C stops";
  std::fprintf(stderr, "ready in %lld ms   (%s)\n", static_cast<long long>(took_ms), demo.c_str());
}

/// Until a signal asks to stop, or the node gives up.
std::optional<Error> run_until_told(const Node& node, const sigset_t& signals) {
  while (true) {
    const timespec pause{.tv_sec = 0, .tv_nsec = 200'000'000};
    const int signal = ::sigtimedwait(&signals, nullptr, &pause);
    if (signal == SIGHUP) log::info("SIGHUP: nothing to read anew");
    if (signal == SIGTERM || signal == SIGINT) return std::nullopt;
    if (auto failed = node.failure()) return failed;
  }
}

/// From here on a request to stop is one to stop at once: the process ends by the signal itself, and whoever started it sees so
/// (a shell says 143 or 130).
void let_signals_end_the_process() {
  sigset_t both;
  sigemptyset(&both);
  struct sigaction by_default = {};
  by_default.sa_handler = SIG_DFL;
  for (const int signal : {SIGTERM, SIGINT}) {
    sigaction(signal, &by_default, nullptr);
    sigaddset(&both, signal);
  }
  pthread_sigmask(SIG_UNBLOCK, &both, nullptr);
}

}  // namespace

int serve(const LoadedConfig& loaded, const std::string& version, std::vector<processing::ProcessorSpec> processors) {
  if (!loaded.problems.empty()) {
    for (const auto& warning : loaded.warnings) fail("warning: " + warning);
    for (const auto& problem : loaded.problems) fail(problem);
    return 2;
  }
  const auto& config = loaded.config;
  const SystemClock clock;
  const auto started = clock.monotonic_now();
  configure_log(config);
  for (const auto& warning : loaded.warnings) log::warn("environment variable passed over", {log::kv("why", warning)});
  const auto signals = take_signals();
  if (auto enough = check_descriptors(config); !enough) return fail(enough.error().message);

  metrics::Registry metrics;
  metrics.gauge("troupe_build_info", "1; the labels say what runs.", {{"version", version}}).set(1);
  Node node(config, metrics);
  for (auto& processor : processors) {
    if (auto added = node.add_processor(std::move(processor)); !added) return fail(added.error().message);
  }
  auto options = config.gateway;
  options.files = pages();
  options.settings = settings_of(config);
  http::Gateway gateway(std::move(options), node.broker(), metrics);
  if (auto listening = gateway.start(); !listening) {
    return fail(listening.error().message + (listening.error().code == Errc::overloaded ? who_listens(config) : ""));
  }

  const metadata::BrokerImage self{.id = BrokerId{config.node_id}, .host = config.gateway.host, .port = gateway.port()};
  std::optional<int> told;  // to stop, before it was ready
  auto running = node.start(self, start_ms_max, [&] {
    const timespec at_once{};
    const int signal = ::sigtimedwait(&signals, nullptr, &at_once);
    if (signal == SIGTERM || signal == SIGINT) told = signal;
    return told.has_value();
  });
  std::unique_ptr<Demo> demo;
  if (running && config.demo) {
    auto made = Demo::start(node.broker(), clock, demo_file("drivers.json"), demo_file("chat.jsonl"));
    if (made) {
      demo = std::move(*made);
    } else {
      running = std::move(made).error();
    }
  }
  if (!running) {
    const Watchdog watchdog;
    gateway.stop(0);
    node.stop(actors_ms_max);
    return told ? 0 : fail(running.error().message);
  }
  announce(config, version, gateway.port(), clock.monotonic_now() - started, demo ? demo->drivers() : 0);

  const auto failed = run_until_told(node, signals);
  const Watchdog watchdog;
  let_signals_end_the_process();
  const auto stopping = clock.monotonic_now();
  demo.reset();
  node.drain(leave_ms_max);
  gateway.stop(drain_ms_max);
  const auto killed = node.stop(actors_ms_max);
  for (const auto& name : killed) log::error("an actor did not end in time and was killed", {log::kv("name", name)});
  log::info("stopped", {log::kv("after_ms", clock.monotonic_now() - stopping)});
  if (failed) return fail("the node gave up: " + failed->message);
  return killed.empty() ? 0 : 1;
}

}  // namespace troupe::runtime
