#!/usr/bin/env bash
# leaks.sh COMPILER INCLUDE_DIR: no header of a dependency comes with <tapestry/tapestry.hpp>.
set -euo pipefail

included=$(printf '#include <tapestry/tapestry.hpp>\n' | "$1" -std=c++20 -x c++ -I "$2" -M - | tr -s '[:space:]' '\n')
grep -q '/tapestry/core/tensor\.hpp' <<<"$included"
if grep -E '/(boost|tbb|oneapi|hwy|nlohmann|dnnl|stb)[^ ]*|/(cblas|archive|archive_entry)\.h$' <<<"$included"; then
  printf 'tapestry.hpp includes the headers above\n'
  exit 1
fi
