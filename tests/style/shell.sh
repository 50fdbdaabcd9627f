#!/usr/bin/env bash
# Every shell script parses, can be run, and has strict mode. Where ShellCheck is installed it must be content too.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

failed=0
complain() {
  printf '%s: %s\n' "$1" "$2"
  failed=1
}
mapfile -d '' -t scripts < <(find .ci bench tools tests -type f \( -name '*.sh' -o -path .ci/run \) -print0 | sort -z)
[[ ${#scripts[@]} -ge 5 ]] || complain . "only ${#scripts[@]} scripts found"
for script in "${scripts[@]}"; do
  bash -n "$script" || complain "$script" 'does not parse'
  grep -q '^set -euo pipefail$\|^source .*common.sh"$' "$script" || complain "$script" 'is not in strict mode'
  [[ -x $script || $script == */common.sh ]] || complain "$script" 'is not executable'
done
if command -v shellcheck >/dev/null; then
  shellcheck "${scripts[@]}" || failed=1
fi
exit "$failed"
