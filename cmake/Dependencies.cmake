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
