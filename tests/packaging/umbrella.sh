#!/usr/bin/env bash
# umbrella.sh COMPILER INCLUDE_DIR: <tapestry/tapestry.hpp> brings every header of ours and none of a dependency's.
set -euo pipefail

# To be included by name: for those who write ops, passes or pages, and what Boost's users need.
apart='core/(graph_bgl|compile/(arena|fuse|rewrite)|io/(file_calls|input_file))|ops/(rules|kernels/.*)'
apart+='|models/(data/tar_archive|report/(html_style|svg_axis|svg_writer))'

included=$(printf '#include <tapestry/tapestry.hpp>\n' | "$1" -std=c++20 -x c++ -I "$2" -M - | tr -s '[:space:]' '\n')
ours=$(sed -n 's|^.*/include/tapestry/||p' <<<"$included" | sort -u)
missing=$(cd -- "$2/tapestry" && find . -name '*.hpp' | sed 's|^\./||' | grep -vxE "($apart)\.hpp" | sort -u |
  comm -23 - <(printf '%s\n' "$ours"))
foreign=$(grep -v '/include/tapestry/' <<<"$included" |
  grep -E '/(boost|tbb|oneapi|hwy|nlohmann|dnnl|stb)[^ ]*|/(cblas|archive|archive_entry)\.h$' || true)

[[ -z $missing ]] || printf 'tapestry.hpp lacks #include <tapestry/%s>\n' "${missing//$'\n'/$'>\n#include <tapestry/'}"
[[ -z $foreign ]] || printf 'tapestry.hpp comes with:\n%s\n' "$foreign"
[[ -z $missing$foreign ]]
