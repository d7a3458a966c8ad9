#!/usr/bin/env bash
# ./dev sizes: the longest files and functions, so that growth is noticed while small.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
echo "longest files (lines):"
git ls-files 'src/*.cpp' 'src/*.h' | xargs wc -l | grep -v ' total$' | sort -rn | head -n 12
echo "longest functions (lines, from an unindented '{' to its '}'):"
git ls-files 'src/*.cpp' | while read -r file; do
  awk -v file="$file" '/^[A-Za-z].*\{$/ && !/^(namespace|struct|class|enum|extern|constexpr|const|static constexpr)/ {start = NR; head = $0}
       /^}/ && start {print NR - start + 1, file ":" start, head; start = 0}' "$file"
done | sort -rn | head -n 12
for program in build/release/bin/escala build/release/bin/escala-agent; do
  [ -f "$program" ] && printf '%s: %s bytes\n' "$program" "$(stat -c %s "$program")"
done
exit 0
