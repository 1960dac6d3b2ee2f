# Reads the log of a test suite and prints "PASSED FAILED SKIPPED". The first two are as the closing lines of its runner
# say: cargo test, a plain "N passed, M failed", pytest, or go test -v; 0 if there is none of them. Skipped is what
# pytest and a plain runner say so of, and each line that begins with the word or has it as a column.

{ gsub(/\033\[[0-9;]*m/, ""); sub(/\r$/, "") }

/^SKIPPED: |\tSKIPPED / { skipped++ }

# One for each test program, so they are added up.
/^test result: / {
    seen["cargo"] = 1
    for (i = 2; i <= NF; i++) {
        if ($i == "passed;") passed["cargo"] += $(i - 1)
        if ($i == "failed;") failed["cargo"] += $(i - 1)
    }
}

# The last one is the total.
/^([^ ]+: )?[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ { total("plain") }
/^(=+ )?([0-9]+ [a-z]+,? )+in [0-9.]+s/ { total("pytest") }

/^--- PASS: / { seen["go"] = 1; passed["go"]++ }
/^--- FAIL: / { seen["go"] = 1; failed["go"]++ }

function total(runner, i) {
    seen[runner] = 1
    passed[runner] = failed[runner] = 0
    for (i = 2; i <= NF; i++) {
        if ($i ~ /^passed,?$/) passed[runner] = $(i - 1)
        if ($i ~ /^(failed|errors?),?$/) failed[runner] += $(i - 1)
        if ($i ~ /^skipped,?$/) skipped += $(i - 1)
    }
}

END {
    count = split("cargo plain pytest go", order)
    for (i = 1; i <= count && !seen[order[i]]; i++);
    print passed[order[i]] + 0, failed[order[i]] + 0, skipped + 0
}
