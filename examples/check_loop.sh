#!/bin/sh
# Runs the example of an event loop: check_loop.sh LOOP. It has to hold and see all with two threads, its own and the
# library's, and to end as it should when it is interrupted. Needs an etcd: run it under `locker dev --`.
set -eu
: "${LOCKER_ENDPOINTS:?is not set: run this under \`locker dev --\`}"

dir=$(mktemp -d) loop=
trap '[ -z "$loop" ] || kill "$loop" 2>/dev/null || true; rm -r "$dir"' EXIT

fails() {
  echo "$1" >&2
  exit 1
}

says() {
  read -r said <&3 || said=$(cat "$dir/errors")
  [ "$said" = "$1" ] || fails "it says '$said', not '$1'"
}

mkfifo "$dir/says"
# shellcheck disable=SC2016 # expands there
timeout 120 sh -c 'echo $$ && exec "$1"' - "$1" >"$dir/says" 2>"$dir/errors" &
timeout=$!
exec 3<"$dir/says"
read -r loop <&3
says "1000 held, 1000 seen"
threads=$(find "/proc/$loop/task" -mindepth 1 -maxdepth 1 | wc -l)
[ "$threads" -eq 2 ] || fails "it has $threads threads"
kill -s INT "$loop"
says "2 freed"
says "2000 freed"
wait "$timeout" || fails "it ends with code $?"
loop=
[ ! -s "$dir/errors" ] || fails "$(cat "$dir/errors")"
