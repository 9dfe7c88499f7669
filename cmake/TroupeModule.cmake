# troupe_module(NAME SOURCES ... [PUBLIC libs...] [PRIVATE libs...])
# One static library for one folder. Includes are written from the repository's root: "core/record/record_batch.hpp".
function(troupe_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(troupe_${name} STATIC ${ARG_SOURCES})
  add_library(Troupe::${name} ALIAS troupe_${name})
  target_include_directories(troupe_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include/troupe>)
  target_compile_features(troupe_${name} PUBLIC cxx_std_20)
  target_link_libraries(troupe_${name} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE} $<BUILD_INTERFACE:troupe_options>)
  set_target_properties(troupe_${name} PROPERTIES EXPORT_NAME ${name})
  install(TARGETS troupe_${name} EXPORT TroupeTargets ARCHIVE DESTINATION lib)
  set_property(GLOBAL APPEND PROPERTY TROUPE_MODULES Troupe::${name})
endfunction()

# troupe_test(NAME SOURCES ... LIBRARIES ... [LABELS ...] [TIMEOUT seconds] [HEADERS program])
# One Catch2 program; every TEST_CASE in it is a test of its own for ctest, named "NAME: the sentence", with the labels and
# the timeout (120 s by default) given here. docs/testing.md says what the labels mean. It uses the precompiled headers of
# troupe_test_headers, or of the program named.
function(troupe_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT;HEADERS" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(NOT ARG_HEADERS)
    set(ARG_HEADERS troupe_test_headers)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} troupe_test_support Catch2::Catch2WithMain troupe_options)
  target_precompile_headers(${name} REUSE_FROM ${ARG_HEADERS})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 sees ghosts in tables of strings.
    target_compile_options(${name} PRIVATE -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow
      -Wno-stringop-overread)
  endif()

  set(tests ${CMAKE_CURRENT_BINARY_DIR}/${name}_tests.cmake)
  string(REPLACE ";" "," labels "${ARG_LABELS}")
  string(REGEX MATCH "^[0-9]+" catch_major "${Catch2_VERSION}")
  add_custom_command(TARGET ${name} POST_BUILD BYPRODUCTS ${tests}
    COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:${name}> -DNAME=${name} -DLABELS=${labels} -DTIMEOUT=${ARG_TIMEOUT}
      -DCATCH_MAJOR=${catch_major} -DOUT=${tests} -P ${PROJECT_SOURCE_DIR}/cmake/DiscoverTests.cmake
    VERBATIM)
  # A program that was not built shows as a test that cannot run, not as no test.
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}_include.cmake
    "if(EXISTS \"${tests}\")\n  include(\"${tests}\")\nelse()\n  add_test(${name}_not_built ${name}_not_built)\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}_include.cmake)
endfunction()

# troupe_test_headers(NAME LIBRARIES ... HEADERS ...)
# A program that does nothing, but precompiles headers for the tests that name it: parsed once instead of in each source.
function(troupe_test_headers name)
  cmake_parse_arguments(ARG "" "" "LIBRARIES;HEADERS" ${ARGN})
  add_executable(${name} EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/tests/support/headers_main.cpp)
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} troupe_options)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
endfunction()

# check_headers: compiles each header alone, as the first line of a source file. Not part of `all`.
function(troupe_check_headers)
  set(folders base core storage actors http kafka runtime tests/support)
  list(TRANSFORM folders PREPEND ${PROJECT_SOURCE_DIR}/)
  list(TRANSFORM folders APPEND /*.hpp)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${folders})
  foreach(header IN LISTS headers)
    set(source ${CMAKE_BINARY_DIR}/check_headers/${header}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n" @ONLY)
    list(APPEND sources ${source})
  endforeach()
  get_property(modules GLOBAL PROPERTY TROUPE_MODULES)
  add_library(check_headers OBJECT EXCLUDE_FROM_ALL ${sources})
  target_compile_options(check_headers PRIVATE -O0 -g0)
  target_link_libraries(check_headers PRIVATE ${modules} troupe_test_support Catch2::Catch2 troupe_options)
endfunction()
