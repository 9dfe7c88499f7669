# Everything that holds for each target: language level, warnings, hardening, sanitizers, tools that save build time.

option(TROUPE_BUILD_TESTS "Build the tests" ON)
option(TROUPE_BUILD_BENCH "Build the benchmarks" OFF)
option(TROUPE_BUILD_FUZZERS "Build the libFuzzer targets (needs clang)" OFF)
option(TROUPE_WERROR "Warnings are errors" ON)
set(TROUPE_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them: address,undefined or thread")
set(TROUPE_CAF_ROOT "" CACHE PATH "A CAF 0.17 of your own, e.g. one built with ThreadSanitizer; empty: the system's")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set_property(GLOBAL PROPERTY USE_FOLDERS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Assertions of ours and of the standard library stay on in release: a bug stops the process instead of the data.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")
set(CMAKE_CXX_FLAGS_SANITIZE "-Og -g1")  # stacks that can be read, and 2/3 of the compile time of -O1

add_library(troupe_options INTERFACE)
target_compile_options(troupe_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wextra-semi)
if(TROUPE_WERROR)
  target_compile_options(troupe_options INTERFACE -Werror)
endif()
target_compile_definitions(troupe_options INTERFACE _GLIBCXX_ASSERTIONS)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT TROUPE_SANITIZE)
  target_compile_options(troupe_options INTERFACE -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  target_link_options(troupe_options INTERFACE -Wl,-z,relro,-z,now -pie)
endif()

if(TROUPE_SANITIZE)
  add_compile_options(-fsanitize=${TROUPE_SANITIZE} -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)  # g++ 12 sees ghosts in instrumented code
    if(TROUPE_SANITIZE MATCHES thread)
      add_compile_options(-Wno-tsan)  # Asio's fences: TSan does not see them, the locks beside them it does
    endif()
  endif()
  add_link_options(-fsanitize=${TROUPE_SANITIZE})
  if(TROUPE_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()

find_program(TROUPE_CCACHE ccache)
if(TROUPE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
    CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=true ${TROUPE_CCACHE})  # one cache for all work trees
endif()
find_program(TROUPE_MOLD mold)
if(TROUPE_MOLD AND NOT TROUPE_BUILD_FUZZERS)
  add_link_options(-fuse-ld=mold)
endif()
