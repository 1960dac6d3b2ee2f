# Sourced by the scripts one folder below the project's root, so that they work from any directory: they stand in
# $root, find the tools that scripts/setup made before the system's, and build where the others look for the results.
# shellcheck shell=sh
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd -- "$root" || exit 1
export PATH="$root/target/tools:$PATH"
export CARGO_TARGET_DIR="$root/target"
# A fresh clone builds everything once: what would make a second build faster only costs time and space.
[ -z "${CI-}" ] || export CARGO_INCREMENTAL=0
