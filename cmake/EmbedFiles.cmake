# troupe_embed_files(TARGET MANIFEST ...): puts the files that a manifest names (a line a file: path, content type) into TARGET, by way of
# a source file that declares them as http::StaticFile would have them. The compiler reads the bytes itself (.incbin).
function(troupe_embed_files target manifest source)
  get_filename_component(folder ${manifest} DIRECTORY)
  file(STRINGS ${manifest} lines)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${manifest})
  set(assembly "")
  set(rows "")
  set(files "")
  set(number 0)
  foreach(line IN LISTS lines)
    if(NOT line MATCHES "^([^ ]+) (.+)$")
      message(FATAL_ERROR "${manifest}: not a path and a content type: ${line}")
    endif()
    set(path ${CMAKE_MATCH_1})
    string(REPLACE "\"" "" type "${CMAKE_MATCH_2}")
    file(SHA256 ${folder}/${path} hash)
    string(SUBSTRING ${hash} 0 16 etag)
    list(APPEND files ${folder}/${path})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/${path})
    string(APPEND assembly
      "asm(\".section .rodata\\n.global troupe_file_${number}\\ntroupe_file_${number}:\\n.incbin \\\"${folder}/${path}\\\"\\n"
      ".global troupe_file_${number}_end\\ntroupe_file_${number}_end:\\n.previous\\n\");\n"
      "extern \"C\" const char troupe_file_${number}[];\nextern \"C\" const char troupe_file_${number}_end[];\n")
    string(APPEND rows
      "    {\"${path}\", \"${type}\", \"${etag}\", {troupe_file_${number}, "
      "static_cast<std::size_t>(troupe_file_${number}_end - troupe_file_${number})}},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  file(CONFIGURE OUTPUT ${source} CONTENT "// Made by cmake/EmbedFiles.cmake from ${manifest}.
#include \"runtime/web/embedded_files.hpp\"

#include <cstddef>

${assembly}
namespace troupe::runtime {

const std::vector<EmbeddedFile>& embedded_files() {
  static const std::vector<EmbeddedFile> files{
${rows}  };
  return files;
}

}  // namespace troupe::runtime
" @ONLY)
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS "${files}")
  target_sources(${target} PRIVATE ${source})
endfunction()
