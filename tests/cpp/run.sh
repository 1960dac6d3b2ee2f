#!/bin/sh
# Builds the C++ tests as C++17, C++20 and C++23, with g++ and with clang++ where there is one, against
# target/debug/liblocker.so, under the address and undefined-behaviour sanitizers, and runs them: one line each.
# Needs an etcd: `locker dev -- tests/cpp/run.sh`. $CXX is the one compiler to use.
set -u
cd "$(dirname "$0")/../.." || exit
: "${LOCKER_ENDPOINTS:?is not set: run this under \`locker dev --\`}"
[ -e target/debug/liblocker.so ] || { echo "target/debug/liblocker.so is missing: cargo build -p locker-sys" >&2; exit 1; }

out=target/cpp
mkdir -p "$out"
# The library is looked up by its SONAME, which cargo does not make a file of.
ln -sf "$PWD/target/debug/liblocker.so" "$out/liblocker.so.1"
flags="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wswitch-enum -Werror -g -fsanitize=address,undefined
  -fno-sanitize-recover=all"

# build NAME STD ARGUMENTS...: makes $out/NAME-STD of sources and more flags.
build() {
  built="$out/$1-$2" std=$2
  shift 2
  # shellcheck disable=SC2086 # words on purpose
  "$compiler" "-std=$std" $flags -Iinclude "$@" -o "$built" -Ltarget/debug -llocker -pthread "-Wl,-rpath,$PWD/$out"
}

# program NAME STD ARGUMENTS...: builds and runs it, and says how that went.
program() {
  if build "$@" && timeout "${LOCKER_TEST_LIMIT:-300}" "$built"; then passed "$1 ($what)"; else failed "$1 ($what)"; fi
}

# says PROGRAM PATTERN...: it works, and each pattern is a line of what it says.
says() {
  program=$1
  shift
  said=$(timeout 60 "$program") || return 1
  for line; do
    if ! echo "$said" | grep -qx "$line"; then
      echo "$program says: $said" >&2
      return 1
    fi
  done
}

without_exceptions="-fno-exceptions -fno-rtti -fno-sanitize=vptr" # which looks at casts, and needs RTTI

# shellcheck disable=SC2086 # words, in $without_exceptions
examples() {
  build lock "$1" examples/lock.cpp && build watch "$1" examples/watch.cpp &&
    examples/check.sh "$out/lock-$1" "$out/watch-$1" example.cpp &&
    build loop_example "$1" examples/loop.cpp &&
    says "$out/loop_example-$1" 'db-migrate held by loop.cpp' 'token [0-9]*' &&
    build errors_example "$1" $without_exceptions examples/errors.cpp &&
    says "$out/errors_example-$1" 'token [0-9]*' &&
    build seats "$1" examples/seats.cpp &&
    says "$out/seats-$1" '10 have worked, [1-3] at a time' &&
    stop_example "$1"
}

stop_example() {
  if [ "$1" = c++17 ]; then return 0; fi
  build stop_example "$1" examples/stop.cpp && says "$out/stop_example-$1" stopped
}

passed() { echo "ok    $1"; passed=$((passed + 1)); }
failed() { echo "FAIL  $1"; failed=$((failed + 1)); }

passed=0 failed=0
for compiler in ${CXX:-g++ clang++}; do
  if ! command -v "$compiler" >/dev/null && [ "$compiler" = clang++ ]; then
    echo "      clang++: not installed, left out"
    continue
  fi
  for std in c++17 c++20 c++23; do
    what="$compiler, $std"
    for name in raii mutex held modes bad_input errors loop; do program "$name" "$std" "tests/cpp/$name.cpp"; done
    [ "$std" = c++17 ] || program stop "$std" tests/cpp/stop.cpp
    # shellcheck disable=SC2086 # words on purpose
    program no_exceptions "$std" $without_exceptions tests/cpp/no_exceptions.cpp
    program two_files "$std" tests/cpp/two_files_a.cpp tests/cpp/two_files_b.cpp
    [ "$std" != c++17 ] || program globals "$std" tests/cpp/globals_a.cpp tests/cpp/globals_b.cpp tests/cpp/globals_c.cpp
    if examples "$std"; then passed "examples ($what)"; else failed "examples ($what)"; fi
  done
done
echo "C++: $passed passed, $failed failed"
[ "$failed" = 0 ]
