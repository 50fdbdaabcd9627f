# tapestry_warnings: what our own code must compile without.
add_library(tapestry_warnings INTERFACE)
target_compile_options(tapestry_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  -Woverloaded-virtual -Wcast-align -Wunused -Wnull-dereference -Wextra-semi
  $<$<BOOL:${TAPESTRY_WERROR}>:-Werror>)
