#!/bin/sh
# Runs the two examples of a language: check.sh LOCK WATCH VALUE. The second has to see what the first does.
# Needs an etcd: run it under `locker dev --`.
set -eu
lock=$1 watch=$2 value=$3 watcher=
: "${LOCKER_ENDPOINTS:?is not set: run this under \`locker dev --\`}"

dir=$(mktemp -d)
trap 'kill "$watcher" 2>/dev/null || true; rm -r "$dir"' EXIT
mkfifo "$dir/seen"
timeout 60 "$watch" db-migrate >"$dir/seen" &
watcher=$!
exec 3<"$dir/seen"

read -r seen <&3 # what is so when it begins
said=$(timeout 60 "$lock")
token=${said#token }
while [ "$seen" != "db-migrate held by $value, token $token" ]; do
  read -r seen <&3 || { echo "$watch does not tell of $said" >&2; exit 1; }
done
read -r seen <&3
[ "$seen" = "db-migrate free" ] || { echo "$watch ends with: $seen" >&2; exit 1; }
