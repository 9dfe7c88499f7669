#pragma once

#include <string_view>
#include <vector>

namespace troupe::runtime {

/// A file that is part of the program. cmake/EmbedFiles.cmake
struct EmbeddedFile {
  std::string_view path;  ///< "chat/index.html"
  std::string_view content_type;
  std::string_view etag;
  std::string_view content;
};

/// The pages: web/dist/manifest.txt.
const std::vector<EmbeddedFile>& web_files();
/// What moves on them: web/data/demo/manifest.txt.
const std::vector<EmbeddedFile>& demo_files();

}  // namespace troupe::runtime
