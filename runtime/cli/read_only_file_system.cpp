#include "runtime/cli/read_only_file_system.hpp"

namespace troupe::cli {
namespace {

/// A file whose changes are dropped; without a file behind it, an empty one.
class ReadOnlyFile final : public storage::File {
 public:
  explicit ReadOnlyFile(std::unique_ptr<storage::File> file) : file_(std::move(file)) {}

  using File::write_at;

  Result<std::size_t> read_at(std::uint64_t position, MutableByteView out) const override {
    if (!file_) return std::size_t{0};
    return file_->read_at(position, out);
  }
  Status write_at(std::uint64_t, std::span<const ByteView>) override { return ok(); }
  Status sync() override { return ok(); }
  void start_writeback() override {}
  void drop_cache() const override {}
  Status truncate(std::uint64_t) override { return ok(); }
  Result<std::uint64_t> size() const override {
    if (!file_) return std::uint64_t{0};
    return file_->size();
  }

 private:
  std::unique_ptr<storage::File> file_;
};

class NoBarrier final : public storage::SyncBarrier {
 public:
  Status sync() override { return ok(); }
};

}  // namespace

Result<std::unique_ptr<storage::File>> ReadOnlyFileSystem::open(const std::string& path, storage::OpenMode mode) {
  using storage::OpenMode;
  auto file = files_.open(path, OpenMode::read);
  if (!file) {
    const bool may_be_new = mode == OpenMode::create || mode == OpenMode::create_exclusive;
    if (!may_be_new || file.error().code != Errc::not_found) return std::move(file).error();
    return std::unique_ptr<storage::File>(std::make_unique<ReadOnlyFile>(nullptr));
  }
  return std::unique_ptr<storage::File>(std::make_unique<ReadOnlyFile>(std::move(*file)));
}

Result<std::unique_ptr<storage::FileLock>> ReadOnlyFileSystem::lock(const std::string& path, const std::string&) {
  return Error{Errc::invalid_argument, path + " is not locked by who only reads"};
}

Result<std::unique_ptr<storage::SyncBarrier>> ReadOnlyFileSystem::open_barrier(const std::string&) {
  return std::unique_ptr<storage::SyncBarrier>(std::make_unique<NoBarrier>());
}

}  // namespace troupe::cli
