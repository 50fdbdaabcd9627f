# What the library links, found in one place: by our own build and, because whoever links a static library links
# its dependencies too, by the installed package. Those that are only headers are not needed after the build.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(TBB)
find_dependency(PkgConfig)

# These come as pkg-config modules: PkgConfig::tapestry_openblas and so on.
foreach(module openblas libhwy libarchive stb)
  pkg_check_modules(tapestry_${module} QUIET IMPORTED_TARGET GLOBAL ${module})
  if(NOT tapestry_${module}_FOUND)
    set(tapestry_FOUND FALSE)
    set(tapestry_NOT_FOUND_MESSAGE "tapestry needs the pkg-config module ${module}, which could not be found "
      "(tools/packages.txt names the Debian package)")
    return()
  endif()
endforeach()

# oneDNN is optional; an installed package needs it if it was built with it, which its TAPESTRY_ONEDNN says. Found by
# its files, since its own CMake package asks for OpenCL's headers. It runs on OpenMP, whose threads we hold to one.
if(TAPESTRY_ONEDNN)
  find_path(TAPESTRY_ONEDNN_INCLUDE dnnl.hpp)
  find_library(TAPESTRY_ONEDNN_LIBRARY dnnl)
  mark_as_advanced(TAPESTRY_ONEDNN_INCLUDE TAPESTRY_ONEDNN_LIBRARY)
  if(TAPESTRY_ONEDNN_INCLUDE AND TAPESTRY_ONEDNN_LIBRARY AND NOT TARGET tapestry_onednn)
    add_library(tapestry_onednn INTERFACE IMPORTED GLOBAL)
    target_include_directories(tapestry_onednn INTERFACE ${TAPESTRY_ONEDNN_INCLUDE})
    target_link_libraries(tapestry_onednn INTERFACE ${TAPESTRY_ONEDNN_LIBRARY} gomp)
  elseif(NOT TARGET tapestry_onednn AND NOT TAPESTRY_ONEDNN STREQUAL AUTO)
    set(tapestry_FOUND FALSE)
    set(tapestry_NOT_FOUND_MESSAGE "tapestry needs oneDNN, whose dnnl.hpp and library could not be found (Debian's "
      "package libdnnl-dev; without it, configure Tapestry with TAPESTRY_ONEDNN=OFF)")
    return()
  endif()
endif()
