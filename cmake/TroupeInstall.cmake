# What `cmake --install` puts below its prefix: bin/troupe, lib/*.a, include/troupe/<as in the repository>, lib/cmake/Troupe,
# share/troupe/configs. Users say find_package(Troupe) and link Troupe::troupe; docs/writing-an-actor.md.
include(CMakePackageConfigHelpers)

# Everything that a main() of one's own needs: a node with its gateway, its actors, the rules.
add_library(troupe_package INTERFACE)
set_target_properties(troupe_package PROPERTIES EXPORT_NAME troupe)
target_link_libraries(troupe_package INTERFACE troupe_embedded)
install(TARGETS troupe_package EXPORT TroupeTargets)

set(package_dir lib/cmake/Troupe)
install(EXPORT TroupeTargets NAMESPACE Troupe:: DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/TroupeConfig.cmake.in ${CMAKE_BINARY_DIR}/TroupeConfig.cmake
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/TroupeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/TroupeConfig.cmake ${CMAKE_BINARY_DIR}/TroupeConfigVersion.cmake cmake/FindCAF.cmake
  DESTINATION ${package_dir})

install(TARGETS troupe RUNTIME DESTINATION bin)
install(DIRECTORY base core storage actors http runtime DESTINATION include/troupe FILES_MATCHING PATTERN "*.hpp")
install(DIRECTORY configs DESTINATION share/troupe)
install(FILES LICENSE NOTICE README.md DESTINATION share/doc/troupe)
