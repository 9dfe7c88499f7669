# troupe_embed_files(TARGET MANIFEST FUNCTION): puts the files that a manifest names (a line a file: path, content type) into TARGET, as the
# rows of `FUNCTION()` of runtime/web/embedded_files.hpp. The assembler reads the bytes itself.
function(troupe_embed_files target manifest function)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${function}.cpp)
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
      "asm(\".section .rodata\\n.global ${function}_${number}\\n${function}_${number}:\\n.incbin \\\"${folder}/${path}\\\"\\n"
      ".global ${function}_${number}_end\\n${function}_${number}_end:\\n.previous\\n\");\n"
      "extern \"C\" const char ${function}_${number}[];\nextern \"C\" const char ${function}_${number}_end[];\n")
    string(APPEND rows
      "    {\"${path}\", \"${type}\", \"${etag}\", {${function}_${number}, "
      "static_cast<std::size_t>(${function}_${number}_end - ${function}_${number})}},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  file(CONFIGURE OUTPUT ${source} CONTENT "// Made by cmake/EmbedFiles.cmake from ${manifest}.
#include \"runtime/web/embedded_files.hpp\"

#include <cstddef>

${assembly}
namespace troupe::runtime {

const std::vector<EmbeddedFile>& ${function}() {
  static const std::vector<EmbeddedFile> files{
${rows}  };
  return files;
}

}  // namespace troupe::runtime
" @ONLY)
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS "${files}")
  target_sources(${target} PRIVATE ${source})
endfunction()
