# cmake --install: headers, library, cifar_train and a CMake package, so that elsewhere
# find_package(tapestry) and #include <tapestry/tapestry.hpp> work.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS tapestry EXPORT tapestry INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET cifar_train)
  install(TARGETS cifar_train)
endif()
install(DIRECTORY core ops optim models DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tapestry
  FILES_MATCHING PATTERN "*.hpp" PATTERN kernels EXCLUDE)
# Those kernels' headers that others, such as ops/rules.hpp, include.
install(FILES ops/kernels/loop.hpp ops/kernels/machine_limits.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tapestry/ops/kernels)
install(FILES tapestry.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tapestry)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tapestry)
configure_package_config_file(cmake/tapestryConfig.cmake.in ${PROJECT_BINARY_DIR}/tapestryConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tapestryConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT tapestry NAMESPACE tapestry:: FILE tapestryTargets.cmake DESTINATION ${package_dir})
install(FILES cmake/Dependencies.cmake ${PROJECT_BINARY_DIR}/tapestryConfig.cmake
  ${PROJECT_BINARY_DIR}/tapestryConfigVersion.cmake DESTINATION ${package_dir})
