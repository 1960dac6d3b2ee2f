#!/bin/sh
# Tests the Go binding and the Go examples against target/debug/liblocker.so, under the race detector and Go's checks of
# what is passed to C. Needs an etcd: `locker dev -- bindings/go/test.sh`. Arguments go to `go test`.
set -eu
cd "$(dirname "$0")"
: "${LOCKER_ENDPOINTS:?is not set: run this under \`locker dev --\`}"
[ -e ../../target/debug/liblocker.so ] || { echo "target/debug/liblocker.so is missing: cargo build -p locker-sys" >&2; exit 1; }
# The library is looked up by its SONAME, which cargo does not make a file of.
ln -sf liblocker.so ../../target/debug/liblocker.so.1
export GOFLAGS="-tags=locker_tree ${GOFLAGS-}" GOEXPERIMENT=cgocheck2 GODEBUG=cgocheck=1

unformatted=$(gofmt -l . ../../examples/go)
[ -z "$unformatted" ] || { echo "not formatted: $unformatted" >&2; exit 1; }
go vet ./...
go test -race -count=1 -timeout 300s "$@" ./...

# Without cgo there is one error, and it says what to do.
if said=$(CGO_ENABLED=0 go build . 2>&1); then
  echo "it builds without cgo" >&2; exit 1
fi
case $said in
  *"build it with CGO_ENABLED=1"*) ;;
  *) echo "without cgo it says: $said" >&2; exit 1 ;;
esac

cd ../../examples/go
go vet ./...
out=../../target/go
go build -o "$out/" ./lock ./watch
../check.sh "$out/lock" "$out/watch" example.go
echo "Go: passed"
