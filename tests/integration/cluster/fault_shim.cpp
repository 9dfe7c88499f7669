// Loaded into a node before libc: its syncs fail or are slow, and its wall clock is wrong, when a test says so.
//
// The file that FAULT_SHIM_FILE names is shared with the test (fault_shim.py): the test writes the orders, this library the counters.
// Without that file everything is as it was. Monotonic time is never touched.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

/// Eight words of 64 bits each, in the machine's order of bytes. The test has the same table.
struct Orders {
  std::atomic<std::int64_t> fail_syncs;     ///< so many of the next syncs fail with EIO
  std::atomic<std::int64_t> sync_delay_us;  ///< each sync takes that much longer
  std::atomic<std::int64_t> wall_offset_s;  ///< the wall clock is that far ahead
  std::atomic<std::int64_t> failed_syncs;   ///< counted
  std::atomic<std::int64_t> delayed_syncs;  ///< counted
  std::atomic<std::int64_t> shifted_reads;  ///< counted: times the wrong wall clock was read
  std::atomic<std::int64_t> syncs;          ///< counted: all of them
  std::atomic<std::int64_t> reserved;
};

Orders* map_orders() {
  const char* path = std::getenv("FAULT_SHIM_FILE");
  const int descriptor = path != nullptr ? ::open(path, O_RDWR | O_CLOEXEC) : -1;
  if (descriptor < 0) return nullptr;
  void* at = ::mmap(nullptr, sizeof(Orders), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  ::close(descriptor);
  return at == MAP_FAILED ? nullptr : static_cast<Orders*>(at);
}

Orders* orders() {
  static Orders* const mapped = map_orders();
  return mapped;
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

int sync_or_fail(int (*real)(int), int descriptor) {
  auto* const said = orders();
  if (said == nullptr) return real(descriptor);
  said->syncs.fetch_add(1);
  if (const auto delay = said->sync_delay_us.load(); delay > 0) {
    said->delayed_syncs.fetch_add(1);
    timespec left{static_cast<time_t>(delay / 1'000'000), static_cast<long>(delay % 1'000'000 * 1000)};
    while (::clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {}
  }
  for (auto rest = said->fail_syncs.load(); rest > 0;) {
    if (!said->fail_syncs.compare_exchange_weak(rest, rest - 1)) continue;
    said->failed_syncs.fetch_add(1);
    errno = EIO;
    return -1;
  }
  return real(descriptor);
}

time_t wall_offset() {
  auto* const said = orders();
  const auto offset = said != nullptr ? said->wall_offset_s.load() : 0;
  if (offset != 0) said->shifted_reads.fetch_add(1);
  return static_cast<time_t>(offset);
}

}  // namespace

extern "C" {

int fsync(int descriptor) {
  static const auto real = next<int (*)(int)>("fsync");
  return sync_or_fail(real, descriptor);
}

int fdatasync(int descriptor) {
  static const auto real = next<int (*)(int)>("fdatasync");
  return sync_or_fail(real, descriptor);
}

int clock_gettime(clockid_t clock, timespec* at) noexcept {
  static const auto real = next<int (*)(clockid_t, timespec*)>("clock_gettime");
  const int status = real(clock, at);
  if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += wall_offset();
  return status;
}

int gettimeofday(timeval* at, void* zone) noexcept {
  static const auto real = next<int (*)(timeval*, void*)>("gettimeofday");
  const int status = real(at, zone);
  if (status == 0) at->tv_sec += wall_offset();
  return status;
}

time_t time(time_t* at) noexcept {
  static const auto real = next<time_t (*)(time_t*)>("time");
  const time_t now = real(nullptr) + wall_offset();
  if (at != nullptr) *at = now;
  return now;
}
}
