#!/bin/sh
# Builds the C++ tests as C++17 and C++20 against target/debug/liblocker.so, under the address and undefined-behaviour
# sanitizers, and runs them: one line each. Needs an etcd: `locker dev -- tests/cpp/run.sh`.
set -u
cd "$(dirname "$0")/../.." || exit
: "${LOCKER_ENDPOINTS:?is not set: run this under \`locker dev --\`}"
: "${CXX:=g++}"
[ -e target/debug/liblocker.so ] || { echo "target/debug/liblocker.so is missing: cargo build -p locker-sys" >&2; exit 1; }

out=target/cpp
mkdir -p "$out"
# The library is looked up by its SONAME, which cargo does not make a file of.
ln -sf "$PWD/target/debug/liblocker.so" "$out/liblocker.so.1"
flags="-Wall -Wextra -Wpedantic -Wshadow -Werror -g -fsanitize=address,undefined -fno-sanitize-recover=all"

# build NAME STD SOURCES...: makes $out/NAME-STD.
build() {
  built="$out/$1-$2" std=$2
  shift 2
  # shellcheck disable=SC2086 # words on purpose
  "$CXX" "-std=$std" $flags -Iinclude "$@" -o "$built" -Ltarget/debug -llocker -pthread "-Wl,-rpath,$PWD/$out"
}

# program NAME STD SOURCES...: builds and runs it, and says how that went.
program() {
  if build "$@" && timeout "${LOCKER_TEST_LIMIT:-300}" "$built"; then passed "$1 ($2)"; else failed "$1 ($2)"; fi
}

passed() { echo "ok    $1"; passed=$((passed + 1)); }
failed() { echo "FAIL  $1"; failed=$((failed + 1)); }

passed=0 failed=0
for std in c++17 c++20; do
  for name in raii mutex bad_input; do program "$name" "$std" "tests/cpp/$name.cpp"; done
  program two_files "$std" tests/cpp/two_files_a.cpp tests/cpp/two_files_b.cpp
  [ "$std" = c++20 ] || program globals "$std" tests/cpp/globals_a.cpp tests/cpp/globals_b.cpp tests/cpp/globals_c.cpp
  if build lock "$std" examples/lock.cpp && build watch "$std" examples/watch.cpp &&
      examples/check.sh "$out/lock-$std" "$out/watch-$std" example.cpp; then
    passed "examples ($std)"
  else
    failed "examples ($std)"
  fi
done
echo "C++: $passed passed, $failed failed"
[ "$failed" = 0 ]
