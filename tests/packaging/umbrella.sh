#!/usr/bin/env bash
# umbrella.sh COMPILER INCLUDE_DIR: <tapestry/tapestry.hpp> brings every header of ours and none of a dependency's.
set -euo pipefail

# For those who write ops, passes or bindings; to be included by name.
apart='core/graph_bgl|core/io/(file_calls|input_file)|core/compile/(rewrite|arena)|ops/rules|ops/kernels/.*|models/report/(html_style|svg_axis|svg_writer)'

included=$(printf '#include <tapestry/tapestry.hpp>\n' | "$1" -std=c++20 -x c++ -I "$2" -M - | tr -s '[:space:]' '\n')
ours=$(sed -n 's|^.*/include/tapestry/||p' <<<"$included" | sort -u)
missing=$(cd -- "$2/tapestry" && find . -name '*.hpp' | sed 's|^\./||' | grep -vxE "($apart)\.hpp" | sort -u |
  comm -23 - <(printf '%s\n' "$ours"))
foreign=$(grep -E '/(boost|tbb|oneapi|hwy|nlohmann|dnnl|stb)[^ ]*|/(cblas|archive|archive_entry)\.h$' <<<"$included" || true)

[[ -z $missing ]] || printf 'tapestry.hpp lacks:\n%s\n' "$missing"
[[ -z $foreign ]] || printf 'tapestry.hpp comes with:\n%s\n' "$foreign"
[[ -z $missing$foreign ]]
