#!/bin/sh
# Builds the C tests and runs each under the address and undefined-behaviour sanitizers and once more under valgrind.
#
#     locker dev -- tests/c/run.sh [NAME...]
#
# The library is $LOCKER_LIBRARY, else target/debug/liblocker.so, which is built here as its users build it: by itself. Built
# together with the command it has features of tokio that only the command asks for, and with them, after locker_shutdown,
# descriptors for signals.
# $LOCKER_VALGRIND=no leaves valgrind out, and says so.
# $LOCKER_TRIALS is the part of the trials that is run of those that the table of faults asks for, 0.1 by default. Each row
# of the table says how it went in a line `row N: ...`, and in one of the file $LOCKER_REPORT if that is set.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
library=${LOCKER_LIBRARY:-$root/target/debug/liblocker.so}

die() {
  echo "run.sh: $*" >&2
  exit 2
}

[ -n "${LOCKER_ENDPOINTS:-}" ] || die "LOCKER_ENDPOINTS is not set: run this as: locker dev -- tests/c/run.sh"
[ -n "${LOCKER_LIBRARY:-}" ] || cargo build --quiet ${CI:+--locked} --manifest-path "$root/Cargo.toml" -p locker-sys --lib ||
  die "the library does not build"
[ -f "$library" ] || die "there is no $library"
valgrind=${LOCKER_VALGRIND:-valgrind}
[ "$valgrind" = no ] || command -v "$valgrind" >/dev/null || die "there is no valgrind: install it, or set LOCKER_VALGRIND=no"

# A directory of this run, so that two may go on at once.
mkdir -p "$root/target/c"
out=$(mktemp -d "$root/target/c/run.XXXXXX") || exit 2
child=
trap 'rm -rf "$out"' EXIT
trap '[ -z "$child" ] || kill "$child" && wait "$child"; exit 130' HUP INT TERM
ln -s "$library" "$out/liblocker.so"
ln -s "$library" "$out/liblocker.so.1"
export LD_LIBRARY_PATH="$out"

passed=0
failed=0

# compile PROGRAM NAME FLAGS...
compile() {
  program=$1 name=$2
  shift 2
  ${CC:-cc} -std=c11 -g -O1 -Wall -Wextra -Wpedantic -Werror "$@" -I"$root/include" "$root/tests/c/$name.c" -o "$program" \
    -L"$out" -Wl,--as-needed -llocker -lpthread -ldl
}

# run LABEL NAME COMMAND...: one line, and what the program said if it failed.
run() {
  label=$1 name=$2
  shift 2
  begin=$(date +%s)
  # Waited for in a way that a signal can interrupt.
  "$@" >"$out/output.txt" 2>&1 &
  child=$!
  code=0
  wait "$child" || code=$?
  child=
  if [ "$code" -eq 0 ]; then
    passed=$((passed + 1))
    echo "ok    $name ($label, $(($(date +%s) - begin)) s)"
    sed -n -e 's/^row /      &/p' -e '/^SKIPPED: /p' "$out/output.txt"
  else
    failed=$((failed + 1))
    sed 's/^/      /' "$out/output.txt"
    echo "FAIL  $name ($label, exit $code)"
  fi
}

# The examples are built as their readers build them.
examples() {
  for example in lock watch loop transfer; do
    ${CC:-cc} -Wall -Wextra -Werror "$root/examples/$example.c" -o "$out/$example" -I"$root/include" -L"$out" -llocker ||
      return 1
  done
  sh "$root/examples/check.sh" "$out/lock" "$out/watch" example.c && sh "$root/examples/check_loop.sh" "$out/loop" &&
    transfers
}

# There and back at the same time: both come to an end.
transfers() {
  timeout 60 "$out/transfer" account/815 account/4711 &
  back=$!
  timeout 60 "$out/transfer" account/4711 account/815 && wait "$back"
}

all=no
if [ $# -eq 0 ]; then
  all=yes
  for file in "$root"/tests/c/*.c; do
    name=$(basename "$file" .c)
    [ "$name" = layout ] || set -- "$@" "$name" # which needs no etcd: locker-sys/tests/header.rs compiles it
  done
fi
for name; do
  if compile "$out/$name" "$name" -fsanitize=address,undefined -fno-sanitize-recover=all; then
    run sanitizers "$name" timeout "${LOCKER_TEST_LIMIT:-600}" "$out/$name"
  else
    failed=$((failed + 1))
    echo "FAIL  $name (does not compile)"
    continue
  fi
  if [ "$valgrind" = no ]; then
    echo "      $name was not run under valgrind: LOCKER_VALGRIND=no"
  elif compile "$out/$name" "$name"; then
    # A child of fork lacks the threads that own what would be found lost there.
    leaks=full
    [ "$name" = fork ] && leaks=no
    # Thirty times slower, and looking for other things: a few trials do, which are not reported.
    run valgrind "$name" timeout 300 env LOCKER_VALGRIND_RUNS=yes LOCKER_TRIALS=0.001 LOCKER_REPORT= \
      "$valgrind" --quiet --error-exitcode=9 --leak-check=$leaks \
      --errors-for-leak-kinds=definite --show-leak-kinds=definite --fair-sched=try "$out/$name"
  else
    failed=$((failed + 1))
    echo "FAIL  $name (does not compile without the sanitizers)"
  fi
done
[ "$all" = no ] || run "as their readers build them" examples examples
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
