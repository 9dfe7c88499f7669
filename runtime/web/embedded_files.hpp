#pragma once

#include <string_view>
#include <vector>

namespace troupe::runtime {

/// A file of web/dist, or of the demo's data, in the program.
struct EmbeddedFile {
  std::string_view path;  ///< "chat/index.html"
  std::string_view content_type;
  std::string_view etag;
  std::string_view content;
};

/// As web/dist/manifest.txt and web/data/demo name them.
const std::vector<EmbeddedFile>& embedded_files();

}  // namespace troupe::runtime
