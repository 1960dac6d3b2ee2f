#!/bin/sh
# Breaks one rule of the core after the other, and makes sure that the tests find it: tests/mutants/run.sh [NAME...].
#
# A mutant is a patch: first what it breaks, then the test that has to catch it, then the change. Each is applied to a
# copy of the sources below target/mutants, where the dependencies are built once and the core for each. Fails if a
# mutant survives, or does not apply or build. (That the tests pass on the core as it is, `make test` finds out.) With
# --check nothing is built: it only says whether all still apply.
set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/mutants
limit=600 # seconds for the tests of one

# How many histories the simulation plays before a mutant has survived it.
export LOCKER_SEEDS="${LOCKER_SEEDS:-4000}" RUST_BACKTRACE=0 CARGO_TARGET_DIR="$work/target" CARGO_TERM_COLOR=never
# The copy lies inside the repository, and is none of its own.
export GIT_CEILING_DIRECTORIES="$work"

# The patches that were named, or all.
patches() {
    [ $# -gt 0 ] || set -- "$here"/*.patch
    for name; do
        name=${name##*/}
        echo "$here/${name%.patch}.patch"
    done
}

check() {
    for patch in $(patches); do
        if git -C "$root" apply --check "$patch"; then
            passed=$((passed + 1))
        else
            echo "${patch##*/} does not apply any more" >&2
            failed=$((failed + 1))
        fi
    done
}

# Times of files stay, so that cargo builds again only what has changed.
copy_sources() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree"
    git -C "$root" ls-files -z -co --exclude-standard | tar -C "$root" --null --ignore-failed-read -cf - -T - 2>/dev/null |
        tar -C "$work/tree" -xf -
}

# try PATCH: its row of the table. The first line of what a test says when it fails names what was found.
try() {
    name=$(basename "$1" .patch) took=0
    log=$work/$name.log
    test=$(sed -n 's/^Caught by: //p' "$1")
    if ! (cd "$work/tree" && git apply "$1" && $test --no-run) >"$log" 2>&1; then
        result='DOES NOT APPLY OR BUILD'
    else
        begun=$(date +%s) code=0
        # shellcheck disable=SC2086 # words, in $test
        (cd "$work/tree" && timeout -k 10 "$limit" $test) >>"$log" 2>&1 </dev/null || code=$?
        result=$(verdict "$code" "$log") took=$(($(date +%s) - begun))
    fi
    (cd "$work/tree" && git apply -R "$1") 2>/dev/null || copy_sources
    case $result in
    caught*) passed=$((passed + 1)) ;;
    *) failed=$((failed + 1)) && tail -n 20 "$log" ;;
    esac
    printf '%-24s %4s s  %s\n' "$name" "$took" "$result"
}

# verdict CODE LOG: a test has to fail. That it hangs, or was not there, is no answer.
verdict() {
    case $1 in
    0) echo "SURVIVED $(grep -c '^test .* ok$' "$2") tests" ;;
    124 | 137) echo "SURVIVED: no answer in $limit s" ;;
    *)
        found=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$2" | head -n 1)
        seed=$(sed -n 's/^that was \(seed [0-9]*\):.*/, \1/p' "$2" | head -n 1)
        [ -n "$found" ] && echo "caught by $found$seed" || echo 'BROKEN: no test failed, and yet the run did'
        ;;
    esac
}

passed=0 failed=0
if [ "${1:-}" = --check ]; then
    check
else
    mkdir -p "$work"
    exec 9>"$work/lock"
    flock 9 # two runs at once take turns
    copy_sources
    for patch in $(patches "$@"); do
        try "$patch"
    done
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
