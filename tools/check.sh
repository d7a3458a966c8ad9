#!/usr/bin/env bash
# ./dev check: format, floors, shell scripts, and clang-tidy on the files changed since a base (default: the last commit
# on the upstream branch, else HEAD~1). --all checks every file with clang-tidy.
# shellcheck disable=SC2317  # the functions are called through step()
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
failed=0
step() { printf '%-12s ' "$1"; shift; if out=$("$@" 2>&1); then echo ok; else echo FAILED; printf '%s\n' "$out"; failed=1; fi; }

format() { git ls-files -co --exclude-standard 'src/*.h' 'src/*.cpp' 'bench/*.cpp' 'tests/fuzz/*.h' 'tests/fuzz/*.cpp' | xargs clang-format --dry-run -Werror; }
scripts() { git ls-files -co --exclude-standard dev .ci/run 'tools/*.sh' 'tests/*.sh' 'packaging/*.sh' | xargs shellcheck; }
changed() {
  if [ "${1:-}" = --all ]; then git ls-files 'src/*.cpp'; return; fi
  local base; base=$(git rev-parse -q --verify '@{upstream}' 2>/dev/null || git rev-parse -q --verify HEAD~1 || git rev-parse HEAD)
  { git diff --name-only --diff-filter=d "$base" -- 'src/*.cpp'; git ls-files -o --exclude-standard 'src/*.cpp'; } | sort -u
}
tidy() {
  local files; files=$(changed "$@")
  [ -n "$files" ] || return 0
  ninja -C build/debug -t targets all | sed -n 's/^\(escala_[a-z]*_protos\): phony/\1/p' |
    xargs ninja -C build/debug --quiet || return 1  # generated headers
  # shellcheck disable=SC2086
  clang-tidy -p build/debug --quiet --extra-arg=-Wno-unknown-warning-option $files
}

step floors python3 tools/check_floors.py
step format format
step shellcheck scripts
step clang-tidy tidy "$@"
exit $failed
