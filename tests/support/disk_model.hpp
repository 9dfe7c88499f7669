#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "tests/support/power_cut.hpp"

/// The parts of FaultyFileSystem's disk. Pages are immutable and shared, so copies of a whole disk cost a few pointers a page.
namespace troupe::test {

inline constexpr std::size_t page_size = 4096;
inline constexpr std::size_t sector_size = 512;

using Page = std::array<std::byte, page_size>;
using PagePtr = std::shared_ptr<const Page>;  ///< null: zeros

/// A file as the process sees it (the page cache), and as the disk holds it since the last sync that succeeded.
///
///   write -> unsynced page --- sync ----------------> durable
///                          \-- failing sync --------> lost: readable still, clean for all later syncs, never on the disk,
///                                                     until a write to the same page makes it unsynced again (F6)
class ModelFile {
 public:
  std::uint64_t size() const { return size_; }
  std::size_t read(std::uint64_t position, MutableByteView out) const;
  ByteBuffer content() const;

  /// The pages that exist; holes are free.
  std::size_t allocated_page_count() const;
  /// The bytes of [position, position + size) that can be written when at most `pages_free` more pages may be allocated.
  std::size_t writable_bytes(std::uint64_t position, std::size_t size, std::uint64_t pages_free) const;

  void write(std::uint64_t position, ByteView bytes);
  void truncate(std::uint64_t size);
  void sync();
  void fail_sync();
  /// What a read finds once the cache no longer holds clean pages: lost pages show what the disk has.
  void drop_clean_pages();
  /// Changes the bytes wherever they are, without anybody having written them.
  void alter(std::uint64_t position, const std::function<std::byte(std::size_t index, std::byte old)>& change,
             std::size_t size);

  std::size_t unsynced_page_count() const { return unsynced_.size(); }
  std::size_t lost_page_count() const;
  std::size_t unsynced_unit_count(const PowerCutOptions& options) const;
  ModelFile after_power_cut(Choices& choices, const PowerCutOptions& options) const;

 private:
  using Pages = std::vector<PagePtr>;
  using Versions = std::vector<PagePtr>;  ///< of one page since its last sync, oldest first; the last is the current one

  void put_page(std::size_t index, PagePtr page);
  /// The durable pages under the smallest size since the last sync: what a sync or a surviving truncation starts from.
  Pages shrunk_durable_pages() const;
  bool shrank() const { return lowest_size_ < durable_size_; }

  Pages current_;
  std::uint64_t size_ = 0;
  Pages durable_;
  std::uint64_t durable_size_ = 0;
  std::uint64_t lowest_size_ = 0;  ///< the smallest since the last sync, at most size_
  std::map<std::size_t, Versions> unsynced_;
};

struct Node;
using NodePtr = std::shared_ptr<Node>;

/// One change of a directory, as its journal holds it until the directory is synced.
struct DirectoryChange {
  std::string removed;          ///< empty: nothing
  std::string added;            ///< empty: nothing
  NodePtr node;                 ///< behind `added`
  std::uint64_t rename_id = 0;  ///< not 0: the other half is in another directory's journal under the same number
};

struct ModelDirectory {
  using Entries = std::map<std::string, NodePtr>;

  void change(DirectoryChange change);
  /// Makes the first `count` changes durable and returns them.
  std::vector<DirectoryChange> commit(std::size_t count);
  /// The entries on the disk if the first `count` changes survive.
  Entries entries_after(std::size_t count) const;

  Entries entries;
  Entries durable;
  std::vector<DirectoryChange> unsynced;
};

/// A file or a directory.
struct Node {
  std::optional<ModelDirectory> directory;
  ModelFile file;
};

NodePtr make_directory_node();

/// Calls `visit` once for every node that can be reached now, or could be after some power cut.
void for_each_node(const NodePtr& root, const std::function<void(const NodePtr&)>& visit);

/// The same tree, unsynced state included, with nodes of its own.
NodePtr copy_tree(const NodePtr& root);

/// Makes the entries of `directory` durable. The other half of a rename between directories becomes durable with it, and all
/// changes before that half in its directory: journals commit in order.
void sync_directory_node(const NodePtr& root, ModelDirectory& directory);

/// The tree after a power cut.
NodePtr tree_after_power_cut(const NodePtr& root, Choices& choices, const PowerCutOptions& options);

}  // namespace troupe::test
