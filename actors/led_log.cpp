#include "actors/led_log.hpp"

#include <algorithm>

namespace troupe::actors {

Bytes clip(const Bytes& bytes, Offset from, Offset up_to, std::size_t bytes_max, Offset& next_offset) {
  std::size_t begin = 0;
  std::size_t end = 0;
  while (end < bytes.size()) {
    const auto header = record::parse_batch_header(bytes.view().subspan(end));
    if (!header) break;
    const auto size = header->size_bytes();
    if (header->next_offset() <= from) {
      begin = end += size;
      continue;
    }
    const bool first = begin == end;
    if (header->base_offset >= up_to || (!first && end + size - begin > bytes_max)) break;
    end += size;
    next_offset = header->next_offset();
  }
  end = std::min(end, bytes.size());
  return bytes.slice(begin, end - begin);
}

}  // namespace troupe::actors
