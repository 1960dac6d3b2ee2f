#!/bin/sh
# Tests the Go binding and the Go examples against target/debug/liblocker.so and .a: under the race detector and Go's checks
# of what is passed to C, and then as users build. Needs an etcd: `locker dev -- bindings/go/test.sh`. Arguments go to
# `go test`.
set -eu
cd "$(dirname "$0")"
: "${LOCKER_ENDPOINTS:?is not set: run this under \`locker dev --\`}"
for library in so a; do
  [ -e ../../target/debug/liblocker.$library ] || { echo "target/debug/liblocker.$library is missing: cargo build -p locker-sys" >&2; exit 1; }
done
# The library is looked up by its SONAME, which cargo does not make a file of.
ln -sf liblocker.so ../../target/debug/liblocker.so.1
export GOFLAGS="-tags=locker_tree ${GOFLAGS-}"

unformatted=$(gofmt -l . ../../examples/go ../../tests/concurrency)
[ -z "$unformatted" ] || { echo "not formatted: $unformatted" >&2; exit 1; }
go vet ./...
# What builds and runs programs of its own is the same with the race detector, and waits for the second run.
slow='TestWaysToLink|TestAMissingLibraryIsNamed|TestCopiesAreVetted|TestTheCommandsOfTheReadmeWork'
GOEXPERIMENT=cgocheck2 GODEBUG=cgocheck=1 go test -race -count=1 -timeout 300s -skip "^($slow)\$" "$@" ./...
# The one that counts threads cannot be run under the race detector.
go test -count=1 -timeout 300s "$@" ./...

# Without cgo there is one error, and it says what to do.
if said=$(CGO_ENABLED=0 go build . 2>&1); then
  echo "it builds without cgo" >&2; exit 1
fi
case $said in
  *"build it with CGO_ENABLED=1"*) ;;
  *) echo "without cgo it says: $said" >&2; exit 1 ;;
esac

# Beside the locks of etcd's own client, which is no dependency of the package.
cd ../../tests/concurrency
go vet ./...
go test -count=1 -timeout 300s "$@" ./...

cd ../../examples/go
go vet ./...
out=../../target/go
go build -o "$out/" ./lock ./watch
../check.sh "$out/lock" "$out/watch" example.go
echo "Go: passed, $(go version)"
