#!/bin/sh
# Fuzzes each target for so many seconds: tests/fuzz/run.sh SECONDS [TARGET...]
#
# What was found stays in target/fuzz: inputs that reach new code in corpus/TARGET, from where the next run goes on, and
# those that fail in crashes/TARGET. To see one fail again: target/fuzz/debug/TARGET FILE
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="$root/target/tools:$PATH" # protoc, where scripts/setup had to get it

seconds=${1:?how many seconds for each target?}
shift
[ $# -gt 0 ] || set -- abi endpoints names record
out=$root/target/fuzz

CARGO_TARGET_DIR="$out" RUSTC_WRAPPER="$root/tests/fuzz/instrument" \
    cargo build --quiet ${CI:+--locked} --manifest-path "$root/tests/fuzz/Cargo.toml"

passed=0 failed=0
for target; do
    mkdir -p "$out/corpus/$target" "$out/crashes/$target"
    log=$out/$target.log
    if "$out/debug/$target" "$out/corpus/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
        -artifact_prefix="$out/crashes/$target/" -print_final_stats=1 >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "ok    $target: $(sed -n 's/.*number_of_executed_units: *//p' "$log") inputs in $seconds s," \
            "$(sed -n 's/.*cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1) places reached"
    else
        failed=$((failed + 1))
        tail -n 40 "$log"
        echo "FAIL  $target"
    fi
done
echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
