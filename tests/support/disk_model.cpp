#include "tests/support/disk_model.hpp"

#include <algorithm>
#include <cstring>
#include <set>

namespace troupe::test {
namespace {

constexpr std::size_t versions_max = 8;

const Page zero_page{};

const Page& bytes_of(const PagePtr& page) { return page ? *page : zero_page; }

PagePtr page_at(const std::vector<PagePtr>& pages, std::size_t index) {
  return index < pages.size() ? pages[index] : nullptr;
}

std::size_t page_count_of(std::uint64_t size) { return static_cast<std::size_t>((size + page_size - 1) / page_size); }

/// Forgets everything at and above `size`; the rest of the last page becomes zeros.
void cut_pages(std::vector<PagePtr>& pages, std::uint64_t size) {
  pages.resize(std::min(pages.size(), page_count_of(size)));
  const auto used_of_last = static_cast<std::size_t>(size % page_size);
  const auto last = static_cast<std::size_t>(size / page_size);
  if (used_of_last == 0 || last >= pages.size() || !pages[last]) return;
  auto page = std::make_shared<Page>(*pages[last]);
  std::fill(page->begin() + used_of_last, page->end(), std::byte{0});
  pages[last] = std::move(page);
}

/// `to` where the choices say that a sector of it reached the disk, `from` elsewhere.
PagePtr tear_page(const PagePtr& from, const PagePtr& to, Choices& choices) {
  auto torn = std::make_shared<Page>(bytes_of(from));
  for (std::size_t at = 0; at < page_size; at += sector_size) {
    const auto* sector = bytes_of(to).data() + at;
    if (std::memcmp(torn->data() + at, sector, sector_size) == 0) continue;
    if (choices.pick(2) == 1) std::memcpy(torn->data() + at, sector, sector_size);
  }
  return torn;
}

std::size_t differing_sector_count(const PagePtr& a, const PagePtr& b) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < page_size; at += sector_size)
    count += std::memcmp(bytes_of(a).data() + at, bytes_of(b).data() + at, sector_size) != 0 ? 1 : 0;
  return count;
}

}  // namespace

std::size_t ModelFile::read(std::uint64_t position, MutableByteView out) const {
  if (position >= size_) return 0;
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - position));
  for (std::size_t done = 0; done < size;) {
    const auto in_page = static_cast<std::size_t>((position + done) % page_size);
    const auto step = std::min(size - done, page_size - in_page);
    const auto page = page_at(current_, static_cast<std::size_t>((position + done) / page_size));
    std::memcpy(out.data() + done, bytes_of(page).data() + in_page, step);
    done += step;
  }
  return size;
}

ByteBuffer ModelFile::content() const {
  ByteBuffer bytes(static_cast<std::size_t>(size_));
  read(0, bytes);
  return bytes;
}

std::size_t ModelFile::allocated_page_count() const {
  return static_cast<std::size_t>(
      std::count_if(current_.begin(), current_.end(), [](const PagePtr& page) { return page != nullptr; }));
}

std::size_t ModelFile::writable_bytes(std::uint64_t position, std::size_t size, std::uint64_t pages_free) const {
  for (std::size_t done = 0; done < size;) {
    const auto in_page = static_cast<std::size_t>((position + done) % page_size);
    const auto allocated = page_at(current_, static_cast<std::size_t>((position + done) / page_size)) != nullptr;
    if (!allocated && pages_free == 0) return done;
    if (!allocated) --pages_free;
    done += std::min(size - done, page_size - in_page);
  }
  return size;
}

void ModelFile::write(std::uint64_t position, ByteView bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const auto index = static_cast<std::size_t>((position + done) / page_size);
    const auto in_page = static_cast<std::size_t>((position + done) % page_size);
    const auto step = std::min(bytes.size() - done, page_size - in_page);
    auto page = std::make_shared<Page>(bytes_of(page_at(current_, index)));
    std::memcpy(page->data() + in_page, bytes.data() + done, step);
    put_page(index, std::move(page));
    done += step;
  }
  if (!bytes.empty()) size_ = std::max(size_, position + bytes.size());
}

void ModelFile::truncate(std::uint64_t size) {
  if (size < size_) {
    cut_pages(current_, size);
    unsynced_.erase(unsynced_.lower_bound(page_count_of(size)), unsynced_.end());
    // The kernel zeroes the rest of the last page in the cache: the zeros may reach the disk without the new size, and before it.
    const auto last = static_cast<std::size_t>(size / page_size);
    if (size % page_size != 0 && page_at(current_, last)) put_page(last, current_[last]);
    lowest_size_ = std::min(lowest_size_, size);
  }
  size_ = size;
}

void ModelFile::sync() {
  durable_ = shrunk_durable_pages();
  for (const auto& [index, versions] : unsynced_) {
    if (durable_.size() <= index) durable_.resize(index + 1);
    durable_[index] = versions.back();
  }
  durable_size_ = size_;
  lowest_size_ = size_;
  unsynced_.clear();
}

void ModelFile::fail_sync() { unsynced_.clear(); }

void ModelFile::drop_clean_pages() {
  auto pages = shrunk_durable_pages();
  for (const auto& [index, versions] : unsynced_) {
    if (pages.size() <= index) pages.resize(index + 1);
    pages[index] = versions.back();
  }
  cut_pages(pages, size_);
  current_ = std::move(pages);
}

void ModelFile::alter(std::uint64_t position, const std::function<std::byte(std::size_t, std::byte)>& change,
                      std::size_t size) {
  for (std::size_t done = 0; done < size;) {
    const auto index = static_cast<std::size_t>((position + done) / page_size);
    const auto in_page = static_cast<std::size_t>((position + done) % page_size);
    const auto step = std::min(size - done, page_size - in_page);
    // One altered page a page, so that "the cache holds what the disk holds" stays visible as the same pointer.
    std::map<PagePtr, PagePtr> altered;
    const auto alter_page = [&](PagePtr& page) {
      auto& copy = altered[page];
      if (!copy) {
        auto bytes = std::make_shared<Page>(bytes_of(page));
        for (std::size_t i = 0; i < step; ++i) (*bytes)[in_page + i] = change(done + i, (*bytes)[in_page + i]);
        copy = std::move(bytes);
      }
      page = copy;
    };
    if (current_.size() <= index) current_.resize(index + 1);
    if (durable_.size() <= index && index * page_size < durable_size_) durable_.resize(index + 1);
    alter_page(current_[index]);
    if (index < durable_.size()) alter_page(durable_[index]);
    if (const auto found = unsynced_.find(index); found != unsynced_.end())
      std::for_each(found->second.begin(), found->second.end(), alter_page);
    done += step;
  }
}

std::size_t ModelFile::lost_page_count() const {
  const auto durable = shrunk_durable_pages();
  std::size_t count = 0;
  for (std::size_t index = 0; index < std::max(current_.size(), durable.size()); ++index) {
    if (unsynced_.count(index) == 0 && bytes_of(page_at(current_, index)) != bytes_of(page_at(durable, index))) ++count;
  }
  return count;
}

std::size_t ModelFile::unsynced_unit_count(const PowerCutOptions& options) const {
  std::size_t count = (shrank() ? 1U : 0U) + (size_ > lowest_size_ ? 1U : 0U);
  for (const auto& [index, versions] : unsynced_) {
    const auto first = options.earlier_versions ? versions.begin() : versions.end() - 1;
    count += static_cast<std::size_t>(versions.end() - first);
    if (options.torn_sectors) count += differing_sector_count(page_at(durable_, index), versions.back());
  }
  return count;
}

ModelFile ModelFile::after_power_cut(Choices& choices, const PowerCutOptions& options) const {
  const auto shrink_survives = shrank() && choices.pick(2) == 1;
  auto pages = shrink_survives ? shrunk_durable_pages() : durable_;
  auto size = shrink_survives ? lowest_size_ : durable_size_;
  // Sizes reach the disk in their order: without the truncation, no growth after it.
  const auto growth_may_survive = !shrank() || shrink_survives;

  for (const auto& [index, versions] : unsynced_) {
    const auto page_start = std::uint64_t{index} * page_size;
    if (!growth_may_survive && page_start >= size) continue;
    const auto version_count = options.earlier_versions ? versions.size() : 1;
    const auto answer = choices.pick(version_count + 1);
    if (answer == 0) continue;
    const auto& version = versions[versions.size() - version_count + answer - 1];
    if (pages.size() <= index) pages.resize(index + 1);
    pages[index] = options.torn_sectors ? tear_page(pages[index], version, choices) : version;
    if (growth_may_survive) size = std::max(size, std::min(page_start + page_size, size_));
  }
  // Delayed allocation: the size is there, the pages are not.
  if (growth_may_survive && size < size_ && choices.pick(2) == 1) size = size_;

  cut_pages(pages, size);
  ModelFile image;
  image.current_ = pages;
  image.durable_ = std::move(pages);
  image.size_ = image.durable_size_ = image.lowest_size_ = size;
  return image;
}

void ModelFile::put_page(std::size_t index, PagePtr page) {
  if (current_.size() <= index) current_.resize(index + 1);
  current_[index] = page;
  auto& versions = unsynced_[index];
  if (versions.size() == versions_max) versions.erase(versions.begin());
  versions.push_back(std::move(page));
}

ModelFile::Pages ModelFile::shrunk_durable_pages() const {
  auto pages = durable_;
  if (shrank()) cut_pages(pages, lowest_size_);
  return pages;
}

namespace {

void apply_change(ModelDirectory::Entries& entries, const DirectoryChange& change) {
  if (!change.removed.empty()) entries.erase(change.removed);
  if (!change.added.empty()) entries[change.added] = change.node;
}

}  // namespace

void ModelDirectory::change(DirectoryChange change) {
  apply_change(entries, change);
  unsynced.push_back(std::move(change));
}

std::vector<DirectoryChange> ModelDirectory::commit(std::size_t count) {
  durable = entries_after(count);
  const auto end = unsynced.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<DirectoryChange> committed(unsynced.begin(), end);
  unsynced.erase(unsynced.begin(), end);
  return committed;
}

ModelDirectory::Entries ModelDirectory::entries_after(std::size_t count) const {
  auto after = durable;
  for (std::size_t i = 0; i < count; ++i) apply_change(after, unsynced[i]);
  return after;
}

NodePtr make_directory_node() {
  auto node = std::make_shared<Node>();
  node->directory.emplace();
  return node;
}

namespace {

void visit_from(const NodePtr& node, std::set<const Node*>& seen, const std::function<void(const NodePtr&)>& visit) {
  if (!seen.insert(node.get()).second) return;
  visit(node);
  if (!node->directory) return;
  for (const auto& [name, child] : node->directory->durable) visit_from(child, seen, visit);
  for (const auto& change : node->directory->unsynced)
    if (change.node) visit_from(change.node, seen, visit);
}

/// The number of changes up to and with the one under `rename_id`; 0 when there is none.
std::size_t changes_through(const ModelDirectory& directory, std::uint64_t rename_id) {
  for (std::size_t i = 0; i < directory.unsynced.size(); ++i)
    if (directory.unsynced[i].rename_id == rename_id) return i + 1;
  return 0;
}

std::vector<NodePtr> directories_below(const NodePtr& root) {
  std::vector<NodePtr> directories;
  for_each_node(root, [&](const NodePtr& node) {
    if (node->directory) directories.push_back(node);
  });
  return directories;
}

void commit_changes(const NodePtr& root, ModelDirectory& directory, std::size_t count) {
  std::vector<NodePtr> directories;
  for (const auto& change : directory.commit(count)) {
    if (change.rename_id == 0) continue;
    if (directories.empty()) directories = directories_below(root);
    for (const auto& other : directories) {
      if (const auto through = changes_through(*other->directory, change.rename_id))
        commit_changes(root, *other->directory, through);
    }
  }
}

class TreeCutter {
 public:
  TreeCutter(const NodePtr& root, Choices& choices, const PowerCutOptions& options) : choices_(choices), options_(options) {
    for (const auto& node : directories_below(root)) {
      surviving_[node.get()] = choices_.pick(node->directory->unsynced.size() + 1);
      directories_.push_back(node.get());
    }
    drop_halves_of_renames();
  }

  NodePtr cut(const NodePtr& node) {
    if (const auto found = images_.find(node.get()); found != images_.end()) return found->second;
    auto& image = images_[node.get()] = std::make_shared<Node>();
    const auto result = image;
    if (!node->directory) {
      result->file = node->file.after_power_cut(choices_, options_);
      return result;
    }
    result->directory.emplace();
    for (const auto& [name, child] : node->directory->entries_after(surviving_[node.get()]))
      result->directory->entries[name] = cut(child);
    result->directory->durable = result->directory->entries;
    return result;
  }

 private:
  /// A rename between directories survives in both or in neither: where one half is lost, the other journal ends before it, too.
  void drop_halves_of_renames() {
    for (bool dropped = true; dropped;) {
      dropped = false;
      for (const auto* node : directories_) {
        auto& count = surviving_[node];
        for (std::size_t i = 0; i < count; ++i) {
          const auto rename_id = node->directory->unsynced[i].rename_id;
          if (rename_id == 0 || survives_elsewhere(node, rename_id)) continue;
          count = i;
          dropped = true;
        }
      }
    }
  }

  bool survives_elsewhere(const Node* node, std::uint64_t rename_id) {
    for (const auto* other : directories_) {
      if (other == node) continue;
      if (const auto through = changes_through(*other->directory, rename_id)) return through <= surviving_[other];
    }
    return true;  // the other directory is gone for good
  }

  Choices& choices_;
  const PowerCutOptions& options_;
  std::vector<const Node*> directories_;
  std::map<const Node*, std::size_t> surviving_;
  std::map<const Node*, NodePtr> images_;
};

NodePtr copy_from(const NodePtr& node, std::map<const Node*, NodePtr>& copies) {
  if (!node) return nullptr;
  if (const auto found = copies.find(node.get()); found != copies.end()) return found->second;
  const auto copy = std::make_shared<Node>(*node);
  copies[node.get()] = copy;
  if (!copy->directory) return copy;
  for (auto& [name, child] : copy->directory->entries) child = copy_from(child, copies);
  for (auto& [name, child] : copy->directory->durable) child = copy_from(child, copies);
  for (auto& change : copy->directory->unsynced) change.node = copy_from(change.node, copies);
  return copy;
}

}  // namespace

void for_each_node(const NodePtr& root, const std::function<void(const NodePtr&)>& visit) {
  std::set<const Node*> seen;
  visit_from(root, seen, visit);
}

NodePtr copy_tree(const NodePtr& root) {
  std::map<const Node*, NodePtr> copies;
  return copy_from(root, copies);
}

void sync_directory_node(const NodePtr& root, ModelDirectory& directory) {
  commit_changes(root, directory, directory.unsynced.size());
}

NodePtr tree_after_power_cut(const NodePtr& root, Choices& choices, const PowerCutOptions& options) {
  return TreeCutter(root, choices, options).cut(root);
}

}  // namespace troupe::test
