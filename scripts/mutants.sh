#!/usr/bin/env bash
# Plants each bug of mutants/ in a copy of the tree and runs the tests of the
# engine there. They must fail: a mutant that survives is a hole in the tests.
#
#   scripts/mutants.sh            all of mutants/
#   scripts/mutants.sh PATCH...   these too (unified diffs against the root)
#   scripts/mutants.sh -o PATCH...  only these
#
# One row a mutant: its name, `caught` or `SURVIVED`, and the first test that
# failed. The exit status is 1 if one survived, did not apply or did not build,
# and 2 if the tests fail without any.
#
#   CRASH_SEEDS      seeds of the crash simulation       [400]
#   MUTANT_SECONDS   time limit of one run of the tests  [240]
set -euo pipefail
exec </dev/null

CRASH_SEEDS=${CRASH_SEEDS:-400}
MUTANT_SECONDS=${MUTANT_SECONDS:-240}
GO=${GO:-go}

root=$(cd "$(dirname "$0")/.." && pwd)
patches=()
if [ "${1-}" = -o ]; then
	shift
else
	patches=("$root"/mutants/*.patch)
fi
for given in "$@"; do
	patches+=("$(realpath "$given")")
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
cp -r "$root/go.mod" "$root/go.sum" "$root/engine" "$root/internal" "$work/tree/"
[ ! -d "$root/manifest" ] || cp -r "$root/manifest" "$work/tree/"
# docs/segment-format.md is compared with the code.
cp -r "$root/docs" "$work/tree/"
cd "$work/tree"

# run_tests: 0 if all pass. The output is in $work/out.
run_tests() {
	AOF_CRASH_SEEDS=$CRASH_SEEDS timeout --kill-after=10 $((MUTANT_SECONDS + 30)) \
		"$GO" test ./engine/... -count=1 -failfast -v -timeout "${MUTANT_SECONDS}s" >"$work/out" 2>&1
}

# first_failure names the test that failed first: one that said so, one that ran
# into the time limit, or the one that a crash of the process ended.
first_failure() {
	awk '
		/^ *--- FAIL: / { print $3; found = 1; exit }
		/running tests:/ { getline; print $1 " (time limit)"; found = 1; exit }
		/^=== RUN / { running = $3 }
		/^(panic|fatal error|unexpected fault address)/ { print running " (crash)"; found = 1; exit }
		END { if (!found) print "?" }
	' "$work/out"
}

describe() { sed -n '1s/^#* *//p' "$1"; }

if ! run_tests; then
	echo "mutants: the tests fail without any mutant: $(first_failure)" >&2
	exit 2
fi

survivors=0
for patch in "${patches[@]}"; do
	name=$(basename "$patch" .patch)
	result=caught
	by=-
	if ! patch --quiet --forward --strip=1 <"$patch" >"$work/out" 2>&1; then
		result="SURVIVED (does not apply)"
	elif ! "$GO" test -run '^$' ./engine/... >"$work/out" 2>&1; then
		result="SURVIVED (does not build)"
	elif run_tests; then
		result=SURVIVED
	else
		by=$(first_failure)
	fi
	[ "$result" = caught ] || survivors=$((survivors + 1))
	printf '%-40s %-10s by %-60s %s\n' "$name" "$result" "$by" "$(describe "$patch")"
	rm -rf engine internal
	cp -r "$root/engine" "$root/internal" .
done

echo "${#patches[@]} mutants, $survivors survived"
[ "$survivors" = 0 ]
