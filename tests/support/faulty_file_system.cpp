#include "tests/support/faulty_file_system.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/crc32c.hpp"
#include "storage/errno_error.hpp"
#include "tests/support/disk_model.hpp"

namespace troupe::test {

using storage::DirectoryEntry;
using storage::EntryType;
using storage::errno_error;
using storage::File;
using storage::FileLock;
using storage::OpenMode;

namespace {

constexpr std::uint64_t default_capacity = std::uint64_t{1} << 40U;

using Names = std::vector<std::string>;

Names names_of(const std::string& path) {
  Names names;
  for (std::size_t begin = 0; begin <= path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    auto name = path.substr(begin, end - begin);
    begin = end + 1;
    if (name.empty() || name == ".") continue;
    if (name != "..")
      names.push_back(std::move(name));
    else if (!names.empty())
      names.pop_back();
  }
  return names;
}

/// A place in the tree: the directory that holds it, its name there, and what is there now, if anything. The root has no parent.
struct Place {
  NodePtr parent;
  std::string name;
  NodePtr node;
};

/// Returns an errno value in `error` when the way there is blocked.
Place find_place(const NodePtr& root, const std::string& path, int& error) {
  error = 0;
  Place place{nullptr, "", root};
  if (path.empty()) error = ENOENT;
  for (const auto& name : names_of(path)) {
    if (!place.node || !place.node->directory) {
      error = place.node ? ENOTDIR : ENOENT;
      return place;
    }
    const auto& entries = place.node->directory->entries;
    const auto found = entries.find(name);
    place = Place{place.node, name, found == entries.end() ? nullptr : found->second};
  }
  return place;
}

bool contains(const NodePtr& node, const NodePtr& wanted) {
  if (node == wanted) return true;
  if (!node->directory) return false;
  const auto& entries = node->directory->entries;
  return std::any_of(entries.begin(), entries.end(), [&](const auto& entry) { return contains(entry.second, wanted); });
}

void collect_files(const NodePtr& node, const std::string& path, std::vector<std::string>& files) {
  if (!node->directory) {
    files.push_back(path);
    return;
  }
  for (const auto& [name, child] : node->directory->entries) collect_files(child, path + "/" + name, files);
}

std::uint64_t allocated_pages(const NodePtr& node) {
  if (!node->directory) return node->file.allocated_page_count();
  std::uint64_t count = 0;
  for (const auto& [name, child] : node->directory->entries) count += allocated_pages(child);
  return count;
}

}  // namespace

std::string to_string(OperationKind kind) {
  switch (kind) {
    case OperationKind::open: return "open";
    case OperationKind::read: return "read";
    case OperationKind::write: return "write";
    case OperationKind::sync: return "sync";
    case OperationKind::truncate: return "truncate";
    case OperationKind::stat: return "stat";
    case OperationKind::list: return "list";
    case OperationKind::create_directories: return "create_directories";
    case OperationKind::rename: return "rename";
    case OperationKind::remove: return "remove";
    case OperationKind::sync_directory: return "sync_directory";
    case OperationKind::lock: return "lock";
  }
  TROUPE_ASSERT(false);
}

struct FaultyFileSystem::State {
  struct PendingFault {
    Fault fault;
    std::size_t seen = 0;
  };

  /// What one operation's body gets and gives besides its result.
  struct Context {
    std::optional<Fault> fault;
    bool changes_disk = false;
  };

  mutable std::mutex mutex;
  NodePtr root = make_directory_node();
  std::uint64_t capacity_pages = default_capacity / page_size;
  std::vector<PendingFault> faults;
  std::function<void(const Operation&)> hook;
  std::map<OperationKind, std::size_t> counts;
  std::size_t operation_count = 0;
  std::uint64_t rename_count = 0;
  std::uint64_t process = 1;                   ///< handles of earlier processes are dead
  std::map<const Node*, std::uint64_t> locks;  ///< by file: the number of the lock that holds it
  std::uint64_t lock_count = 0;

  /// Runs one operation under the mutex, then the hook without it. `body` gets the fault that is due, and has to return it.
  template <class Body>
  auto perform(OperationKind kind, const std::string& path, Body body) {
    std::unique_lock guard(mutex);
    Context context{take_fault(kind, path)};
    ++counts[kind];
    const auto index = ++operation_count;
    auto result = body(context);
    const auto call = hook;
    guard.unlock();
    if (call) call(Operation{kind, path, index, result.has_value(), context.changes_disk});
    return result;
  }

  std::optional<Fault> take_fault(OperationKind kind, const std::string& path) {
    std::optional<Fault> due;
    for (auto& pending : faults) {
      if (pending.fault.kind != kind || path.find(pending.fault.path_contains) == std::string::npos) continue;
      ++pending.seen;
      const auto hits = pending.fault.always ? pending.seen >= pending.fault.nth : pending.seen == pending.fault.nth;
      if (hits && !due) due = pending.fault;
    }
    return due;
  }

  NodePtr create_file(const Place& place) {
    auto node = std::make_shared<Node>();
    place.parent->directory->change({"", place.name, node});
    return node;
  }

  std::uint64_t free_pages() const {
    const auto used = allocated_pages(root);
    return used < capacity_pages ? capacity_pages - used : 0;
  }

  std::shared_ptr<State> with_tree(NodePtr tree) const {
    auto state = std::make_shared<State>();
    state->root = std::move(tree);
    state->capacity_pages = capacity_pages;
    state->rename_count = rename_count;
    return state;
  }

  template <class Count>
  std::size_t sum(Count count) const {
    std::lock_guard guard(mutex);
    std::size_t total = 0;
    for_each_node(root, [&](const NodePtr& node) { total += count(*node); });
    return total;
  }

  Result<NodePtr> file_at(const std::string& path, std::uint64_t end) const {
    int error = 0;
    const auto place = find_place(root, path, error);
    if (error != 0 || !place.node || place.node->directory) return Error{Errc::not_found, "no file " + path};
    if (end > place.node->file.size()) {
      return Error{Errc::invalid_argument, path + ": byte " + std::to_string(end) + " is beyond the end at " +
                                               std::to_string(place.node->file.size())};
    }
    return place.node;
  }
};

class FaultyFileSystem::OpenFile final : public File {
 public:
  OpenFile(std::shared_ptr<State> state, NodePtr node, std::string path, bool writable)
      : state_(std::move(state)),
        node_(std::move(node)),
        path_(std::move(path)),
        writable_(writable),
        process_(state_->process) {}

  using File::write_at;

  Result<std::size_t> read_at(std::uint64_t position, MutableByteView out) const override {
    return state_->perform(OperationKind::read, path_, [&](State::Context& context) -> Result<std::size_t> {
      const auto what = "read " + std::to_string(out.size()) + " bytes at " + std::to_string(position) + " from " + path_;
      TROUPE_TRY(check(context, what));
      return node_->file.read(position, out);
    });
  }

  Status write_at(std::uint64_t position, std::span<const ByteView> parts) override {
    return state_->perform(OperationKind::write, path_, [&](State::Context& context) -> Status {
      ByteBuffer bytes;
      for (const auto part : parts) append_bytes(bytes, part);
      const auto what = "write " + std::to_string(bytes.size()) + " bytes at " + std::to_string(position) + " to " + path_;
      TROUPE_TRY(check_alive(what));
      if (!writable_) return errno_error(EBADF, what);

      const auto wanted = context.fault ? std::min(context.fault->bytes_written, bytes.size()) : bytes.size();
      const auto written = node_->file.writable_bytes(position, wanted, state_->free_pages());
      node_->file.write(position, ByteView{bytes}.first(written));
      context.changes_disk = written > 0;
      if (written < wanted) return errno_error(ENOSPC, what);
      if (context.fault) return errno_error(context.fault->error, what);
      return ok();
    });
  }

  Status sync() override {
    return state_->perform(OperationKind::sync, path_, [&](State::Context& context) -> Status {
      TROUPE_TRY(check_alive("sync " + path_));
      context.changes_disk = true;
      if (context.fault) {
        node_->file.fail_sync();
        return errno_error(context.fault->error, "sync " + path_);
      }
      node_->file.sync();
      return ok();
    });
  }

  void start_writeback() override {}
  void drop_cache() const override {
    std::lock_guard guard(state_->mutex);
    node_->file.drop_clean_pages();
  }

  Status truncate(std::uint64_t size) override {
    return state_->perform(OperationKind::truncate, path_, [&](State::Context& context) -> Status {
      const auto what = "truncate " + path_ + " to " + std::to_string(size) + " bytes";
      TROUPE_TRY(check(context, what));
      if (!writable_) return errno_error(EINVAL, what);
      node_->file.truncate(size);
      context.changes_disk = true;
      return ok();
    });
  }

  Result<std::uint64_t> size() const override {
    return state_->perform(OperationKind::stat, path_, [&](State::Context& context) -> Result<std::uint64_t> {
      TROUPE_TRY(check(context, "take the size of " + path_));
      return node_->file.size();
    });
  }

 private:
  Status check_alive(const std::string& what) const {
    if (process_ == state_->process) return ok();
    return Error{Errc::storage_error, what + ": the process that opened the file was killed"};
  }

  Status check(const State::Context& context, const std::string& what) const {
    TROUPE_TRY(check_alive(what));
    if (context.fault) return errno_error(context.fault->error, what);
    return ok();
  }

  std::shared_ptr<State> state_;
  NodePtr node_;
  std::string path_;
  bool writable_;
  std::uint64_t process_;
};

class FaultyFileSystem::Barrier final : public storage::SyncBarrier {
 public:
  Barrier(std::shared_ptr<State> state, std::string path) : state_(std::move(state)), path_(std::move(path)) {}

  Status sync() override {
    return state_->perform(OperationKind::sync, path_, [&](State::Context& context) -> Status {
      context.changes_disk = true;
      for_each_node(state_->root, [&](const NodePtr& node) {
        if (node->directory) return;
        context.fault ? node->file.fail_sync() : node->file.sync();
      });
      if (context.fault) return errno_error(context.fault->error, "sync the file system of " + path_);
      for_each_node(state_->root, [&](const NodePtr& node) {
        if (node->directory) sync_directory_node(state_->root, *node->directory);
      });
      return ok();
    });
  }

 private:
  std::shared_ptr<State> state_;
  std::string path_;
};

class FaultyFileSystem::HeldLock final : public FileLock {
 public:
  HeldLock(std::shared_ptr<State> state, NodePtr node, std::uint64_t number)
      : state_(std::move(state)), node_(std::move(node)), number_(number) {}

  ~HeldLock() override {
    std::lock_guard guard(state_->mutex);
    const auto held = state_->locks.find(node_.get());
    if (held != state_->locks.end() && held->second == number_) state_->locks.erase(held);
  }

 private:
  std::shared_ptr<State> state_;
  NodePtr node_;
  std::uint64_t number_;
};

FaultyFileSystem::FaultyFileSystem() : state_(std::make_shared<State>()) {}
FaultyFileSystem::FaultyFileSystem(std::shared_ptr<State> state) : state_(std::move(state)) {}
FaultyFileSystem::FaultyFileSystem(FaultyFileSystem&&) noexcept = default;
FaultyFileSystem& FaultyFileSystem::operator=(FaultyFileSystem&&) noexcept = default;
FaultyFileSystem::~FaultyFileSystem() = default;

Result<std::unique_ptr<File>> FaultyFileSystem::open(const std::string& path, OpenMode mode) {
  return state_->perform(OperationKind::open, path, [&](State::Context& context) -> Result<std::unique_ptr<File>> {
    const auto what = "open " + path;
    if (context.fault) return errno_error(context.fault->error, what);
    int error = 0;
    auto place = find_place(state_->root, path, error);
    if (error != 0) return errno_error(error, what);
    if (place.node && mode == OpenMode::create_exclusive) return errno_error(Errc::invalid_argument, EEXIST, what);
    if (place.node && place.node->directory) return errno_error(Errc::invalid_argument, EISDIR, what);
    if (!place.node && (mode == OpenMode::read || mode == OpenMode::read_write)) return errno_error(ENOENT, what);
    if (!place.node) {
      place.node = state_->create_file(place);
      context.changes_disk = true;
    }
    return std::unique_ptr<File>(std::make_unique<OpenFile>(state_, place.node, path, mode != OpenMode::read));
  });
}

Result<std::vector<DirectoryEntry>> FaultyFileSystem::list(const std::string& path) {
  return state_->perform(OperationKind::list, path, [&](State::Context& context) -> Result<std::vector<DirectoryEntry>> {
    const auto what = "list " + path;
    if (context.fault) return errno_error(context.fault->error, what);
    int error = 0;
    const auto place = find_place(state_->root, path, error);
    if (error != 0 || !place.node) return errno_error(error != 0 ? error : ENOENT, what);
    if (!place.node->directory) return errno_error(ENOTDIR, what);
    std::vector<DirectoryEntry> entries;
    for (const auto& [name, node] : place.node->directory->entries)
      entries.push_back({name, node->directory ? EntryType::directory : EntryType::file});
    std::sort(entries.begin(), entries.end(), [](const DirectoryEntry& a, const DirectoryEntry& b) {
      return crc32c(as_bytes(a.name)) < crc32c(as_bytes(b.name));
    });
    return entries;
  });
}

Result<bool> FaultyFileSystem::exists(const std::string& path) {
  return state_->perform(OperationKind::stat, path, [&](State::Context& context) -> Result<bool> {
    if (context.fault) return errno_error(context.fault->error, "look for " + path);
    int error = 0;
    const auto place = find_place(state_->root, path, error);
    return error == 0 && place.node != nullptr;
  });
}

Status FaultyFileSystem::create_directories(const std::string& path) {
  return state_->perform(OperationKind::create_directories, path, [&](State::Context& context) -> Status {
    const auto what = "create the directory " + path;
    if (context.fault) return errno_error(context.fault->error, what);
    if (path.empty()) return errno_error(ENOENT, what);
    auto directory = state_->root;
    for (const auto& name : names_of(path)) {
      auto& entries = directory->directory->entries;
      if (entries.count(name) == 0) {
        directory->directory->change({"", name, make_directory_node()});
        context.changes_disk = true;
      }
      directory = entries.at(name);
      if (!directory->directory) return errno_error(ENOTDIR, what);
    }
    return ok();
  });
}

Status FaultyFileSystem::rename(const std::string& from, const std::string& to) {
  return state_->perform(OperationKind::rename, from + " -> " + to, [&](State::Context& context) -> Status {
    const auto what = "rename " + from + " to " + to;
    if (context.fault) return errno_error(context.fault->error, what);
    int error = 0;
    const auto source = find_place(state_->root, from, error);
    if (error == 0 && !source.node) error = ENOENT;
    if (error != 0) return errno_error(error, what);
    const auto target = find_place(state_->root, to, error);
    if (error != 0) return errno_error(error, what);
    if (!source.parent || !target.parent) return errno_error(EBUSY, what);
    if (source.node == target.node) return ok();
    if (source.node->directory && contains(source.node, target.parent)) return errno_error(EINVAL, what);
    if (target.node && target.node->directory && !source.node->directory) return errno_error(EISDIR, what);
    if (target.node && !target.node->directory && source.node->directory) return errno_error(ENOTDIR, what);
    if (target.node && target.node->directory && !target.node->directory->entries.empty())
      return errno_error(ENOTEMPTY, what);

    context.changes_disk = true;
    if (source.parent == target.parent) {
      source.parent->directory->change({source.name, target.name, source.node});
      return ok();
    }
    const auto rename_id = ++state_->rename_count;
    source.parent->directory->change({source.name, "", nullptr, rename_id});
    target.parent->directory->change({"", target.name, source.node, rename_id});
    return ok();
  });
}

Status FaultyFileSystem::remove(const std::string& path) {
  return state_->perform(OperationKind::remove, path, [&](State::Context& context) -> Status {
    const auto what = "remove " + path;
    if (context.fault) return errno_error(context.fault->error, what);
    int error = 0;
    const auto place = find_place(state_->root, path, error);
    if (error != 0 || !place.node) return errno_error(error != 0 ? error : ENOENT, what);
    if (!place.parent) return errno_error(EBUSY, what);
    if (place.node->directory && !place.node->directory->entries.empty()) return errno_error(ENOTEMPTY, what);
    place.parent->directory->change({place.name, "", nullptr});
    context.changes_disk = true;
    return ok();
  });
}

Status FaultyFileSystem::sync_directory(const std::string& path) {
  return state_->perform(OperationKind::sync_directory, path, [&](State::Context& context) -> Status {
    const auto what = "sync the directory " + path;
    if (context.fault) return errno_error(context.fault->error, what);
    int error = 0;
    const auto place = find_place(state_->root, path, error);
    if (error != 0 || !place.node) return errno_error(error != 0 ? error : ENOENT, what);
    if (!place.node->directory) return errno_error(ENOTDIR, what);
    context.changes_disk = !place.node->directory->unsynced.empty();
    sync_directory_node(state_->root, *place.node->directory);
    return ok();
  });
}

Result<std::unique_ptr<FileLock>> FaultyFileSystem::lock(const std::string& path, const std::string& content) {
  return state_->perform(OperationKind::lock, path, [&](State::Context& context) -> Result<std::unique_ptr<FileLock>> {
    const auto what = "lock " + path;
    if (context.fault) return errno_error(context.fault->error, what);
    int error = 0;
    auto place = find_place(state_->root, path, error);
    if (error != 0) return errno_error(error, what);
    if (place.node && place.node->directory) return errno_error(Errc::invalid_argument, EISDIR, what);
    if (place.node && state_->locks.count(place.node.get()) != 0) {
      const auto holder = place.node->file.content();
      return Error{Errc::wrong_owner, what + ": held by another process: " + std::string(as_text(holder))};
    }
    if (!place.node) place.node = state_->create_file(place);
    place.node->file.truncate(0);
    place.node->file.write(0, as_bytes(content));
    context.changes_disk = true;
    const auto number = ++state_->lock_count;
    state_->locks[place.node.get()] = number;
    return std::unique_ptr<FileLock>(std::make_unique<HeldLock>(state_, place.node, number));
  });
}

Result<std::unique_ptr<storage::SyncBarrier>> FaultyFileSystem::open_barrier(const std::string& path) {
  return std::unique_ptr<storage::SyncBarrier>(std::make_unique<Barrier>(state_, path));
}

Result<std::uint64_t> FaultyFileSystem::free_bytes(const std::string& path) {
  return state_->perform(OperationKind::stat, path, [&](State::Context& context) -> Result<std::uint64_t> {
    const auto what = "ask for the free space of " + path;
    if (context.fault) return errno_error(context.fault->error, what);
    int error = 0;
    const auto place = find_place(state_->root, path, error);
    if (error != 0 || !place.node) return errno_error(error != 0 ? error : ENOENT, what);
    return state_->free_pages() * page_size;
  });
}

void FaultyFileSystem::fail(Fault fault) {
  TROUPE_ASSERT(fault.nth >= 1);
  std::lock_guard guard(state_->mutex);
  state_->faults.push_back({std::move(fault)});
}

void FaultyFileSystem::clear_faults() {
  std::lock_guard guard(state_->mutex);
  state_->faults.clear();
}

void FaultyFileSystem::set_capacity(std::uint64_t bytes) {
  std::lock_guard guard(state_->mutex);
  state_->capacity_pages = bytes / page_size;
}

void FaultyFileSystem::on_operation(std::function<void(const Operation&)> hook) {
  std::lock_guard guard(state_->mutex);
  state_->hook = std::move(hook);
}

std::size_t FaultyFileSystem::operation_count() const {
  std::lock_guard guard(state_->mutex);
  return state_->operation_count;
}

std::size_t FaultyFileSystem::operation_count(OperationKind kind) const {
  std::lock_guard guard(state_->mutex);
  const auto found = state_->counts.find(kind);
  return found == state_->counts.end() ? 0 : found->second;
}

void FaultyFileSystem::process_kill() {
  std::lock_guard guard(state_->mutex);
  ++state_->process;
  state_->locks.clear();
}

FaultyFileSystem FaultyFileSystem::clone() const {
  std::lock_guard guard(state_->mutex);
  return FaultyFileSystem(state_->with_tree(copy_tree(state_->root)));
}

FaultyFileSystem FaultyFileSystem::power_cut(Choices& choices, const PowerCutOptions& options) const {
  std::lock_guard guard(state_->mutex);
  return FaultyFileSystem(state_->with_tree(tree_after_power_cut(state_->root, choices, options)));
}

void FaultyFileSystem::drop_caches() {
  std::lock_guard guard(state_->mutex);
  for_each_node(state_->root, [](const NodePtr& node) { node->file.drop_clean_pages(); });
}

std::size_t FaultyFileSystem::unsynced_page_count() const {
  return state_->sum([](const Node& node) { return node.file.unsynced_page_count(); });
}

std::size_t FaultyFileSystem::unsynced_directory_change_count() const {
  return state_->sum([](const Node& node) { return node.directory ? node.directory->unsynced.size() : 0; });
}

std::size_t FaultyFileSystem::lost_page_count() const {
  return state_->sum([](const Node& node) { return node.file.lost_page_count(); });
}

std::size_t FaultyFileSystem::unsynced_unit_count(const PowerCutOptions& options) const {
  return state_->sum([&](const Node& node) {
    return node.directory ? node.directory->unsynced.size() : node.file.unsynced_unit_count(options);
  });
}

Status FaultyFileSystem::flip_bit(const std::string& path, std::uint64_t position, unsigned bit) {
  TROUPE_ASSERT(bit < 8);
  std::lock_guard guard(state_->mutex);
  TROUPE_TRY_ASSIGN(const auto node, state_->file_at(path, position + 1));
  node->file.alter(
      position, [&](std::size_t, std::byte old) { return old ^ static_cast<std::byte>(1U << bit); }, 1);
  return ok();
}

Status FaultyFileSystem::overwrite(const std::string& path, std::uint64_t position, ByteView bytes) {
  std::lock_guard guard(state_->mutex);
  TROUPE_TRY_ASSIGN(const auto node, state_->file_at(path, position + bytes.size()));
  node->file.alter(
      position, [&](std::size_t i, std::byte) { return bytes[i]; }, bytes.size());
  return ok();
}

Result<ByteBuffer> FaultyFileSystem::content(const std::string& path) const {
  std::lock_guard guard(state_->mutex);
  TROUPE_TRY_ASSIGN(const auto node, state_->file_at(path, 0));
  return node->file.content();
}

std::vector<std::string> FaultyFileSystem::files() const {
  std::lock_guard guard(state_->mutex);
  std::vector<std::string> files;
  collect_files(state_->root, "", files);
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace troupe::test
