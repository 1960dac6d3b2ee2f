#!/bin/sh
# Builds the C++ tests as C++17 and C++20 against target/debug/liblocker.so, under the address and undefined-behaviour
# sanitizers, and runs them: one line each. Needs an etcd: `locker dev -- tests/cpp/run.sh`.
set -u
cd "$(dirname "$0")/../.."
: "${LOCKER_ENDPOINTS:?is not set: run this under \`locker dev --\`}"
: "${CXX:=g++}"
[ -e target/debug/liblocker.so ] || { echo "target/debug/liblocker.so is missing: cargo build -p locker-sys" >&2; exit 1; }

out=target/cpp
mkdir -p "$out"
# The library is looked up by its SONAME, which cargo does not make a file of.
ln -sf "$PWD/target/debug/liblocker.so" "$out/liblocker.so.1"
flags="-Wall -Wextra -Wpedantic -Wshadow -Werror -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all"

# program NAME STD: builds and runs it, and says how that went.
program() {
  built="$out/$1-$2"
  # shellcheck disable=SC2046,SC2086 # words on purpose
  if "$CXX" "-std=$2" $flags -Iinclude $(sources "$1") -o "$built" -Ltarget/debug -llocker -pthread \
      "-Wl,-rpath,$PWD/$out" && timeout 120 "$built"; then
    echo "ok    $1 ($2)"; passed=$((passed + 1))
  else
    echo "FAIL  $1 ($2)"; failed=$((failed + 1))
  fi
}

sources() {
  case $1 in
    two_files) echo tests/cpp/two_files_a.cpp tests/cpp/two_files_b.cpp ;;
    *) echo "tests/cpp/$1.cpp" ;;
  esac
}

passed=0 failed=0
for std in c++17 c++20; do
  for name in raii mutex two_files bad_input; do program "$name" "$std"; done
done
echo "C++: $passed passed, $failed failed"
[ "$failed" = 0 ]
