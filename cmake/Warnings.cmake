# tapestry_warnings: what our own code must compile without.
add_library(tapestry_warnings INTERFACE)
target_compile_options(tapestry_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  -Woverloaded-virtual -Wcast-align -Wunused -Wextra-semi
  $<$<BOOL:${TAPESTRY_WERROR}>:-Werror>)
# GCC 12 sees overlapping copies in "text" + std::string (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(tapestry_warnings INTERFACE -Wno-restrict)
endif()
