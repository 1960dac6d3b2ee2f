#!/bin/sh
# Runs test.sh with the newest two releases of Go, and staticcheck: locker dev -- bindings/go/releases.sh [ARGUMENTS]
# Needs a module proxy, from which go fetches what is missing.
set -eu
cd "$(dirname "$0")"

# The newest patch of each of the newest two minor releases, such as 1.26.11 and 1.27.4.
releases=$(go list -m -versions go | tr ' ' '\n' | grep -E '^[0-9]+\.[0-9]+\.[0-9]+$' | sort -V |
  awk -F. '{ newest[$1 "." $2] = $0; if (!($1 "." $2 in seen)) order[++n] = $1 "." $2; seen[$1 "." $2] }
    END { for (i = n - 1; i <= n; i++) print newest[order[i]] }')

for release in $releases; do
  GOTOOLCHAIN="go$release" ./test.sh "$@"
  newest=$release
done
# A tool, and none of the module's dependencies.
for module in . ../../tests/concurrency; do
  (cd "$module" && GOTOOLCHAIN="go$newest" GOFLAGS=-tags=locker_tree \
    go run honnef.co/go/tools/cmd/staticcheck@latest -checks all,-ST1000 ./...)
done
echo "staticcheck: passed"
