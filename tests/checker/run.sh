#!/bin/sh
# Has programs in all languages use locks for SECONDS while faults happen, and checks what they saw; then pauses what keeps
# a lock for a command, and only that: two commands never run at once under `locker run`, and do under `etcdctl lock`,
# which shows that the checks find them.
#
#     tests/checker/run.sh SECONDS [OPTIONS OF `locker-check run`]
#
# Needs all that `make build` builds. It starts its own etcds: $LOCKER_ETCD, else `etcd`.
set -eu
cd "$(dirname -- "$0")/../.."
seconds=${1:?"for how many seconds?"}
shift
check=target/debug/locker-check
out=target/checker # the languages that have to be built
passed=0 failed=0

build() {
    mkdir -p "$out"
    # The library is looked up by its SONAME, which cargo does not make a file of.
    ln -sf liblocker.so target/debug/liblocker.so.1
    flags="-g -O1 -Wall -Wextra -Wpedantic -Wshadow -Werror -Iinclude"
    link="-Ltarget/debug -llocker -pthread -Wl,-rpath,$PWD/target/debug"
    # shellcheck disable=SC2086 # words on purpose
    {
        ${CC:-cc} -std=c11 $flags tests/checker/workers/worker.c -o "$out/worker-c" $link
        ${CXX:-c++} -std=c++17 $flags tests/checker/workers/worker.cpp -o "$out/worker-cpp" $link
    }
    (cd tests/checker/workers/go && go build -tags locker_tree -o "../../../../$out/worker-go" .)
    cp tests/checker/workers/worker.py "$out/worker.py"
}

# part NAME COMMAND...
part() {
    name=$1
    shift
    echo "== $name"
    # Waited for in a way that a signal can interrupt.
    "$@" &
    child=$!
    if wait "$child"; then passed=$((passed + 1)) && echo "ok    $name"; else failed=$((failed + 1)) && echo "FAIL  $name"; fi
    child=
}

child=
trap '[ -z "$child" ] || kill "$child" && wait "$child" || true; exit 143' HUP INT TERM
build
part "what workers in all languages saw" "$check" run "$seconds" "$@"
part "a command ends when what keeps its lock stands still" "$check" control 20 --locker locker
part "etcdctl lock lets two in" "$check" control 20 --locker etcdctl
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
