#!/usr/bin/env bash
# Plants each bug of mutants/ in a copy of the module and runs the tests that are
# to catch it. They must fail: a mutant that survives is a hole in the tests.
#
#   scripts/mutants.sh              all of mutants/
#   scripts/mutants.sh PATCH...     these too (unified diffs against the root)
#   scripts/mutants.sh -o PATCH...  only these; a name stands for mutants/NAME.patch
#   scripts/mutants.sh -j N ...     N at a time [1]
#   scripts/mutants.sh -n ...       only sees that each applies, and runs nothing
#
# A patch opens with comment lines: what it breaks, and which tests catch it:
#
#   # Caught by: ./engine TestOne|TestTwo
#
# Those run first; if they pass, so do the rest of their packages. A patch without
# such a line runs the tests of the packages that it touches and then of those that
# import them, those with the fewest imports first.
#
# One row a mutant, when it is judged: its name, `caught` or `SURVIVED`, seconds,
# the test that failed, what was broken. The exit status is 1 if one survived, does
# not apply, does not build or names a test that there is not, and 2 if a test that
# failed fails without the mutant too.
#
#   CRASH_SEEDS      seeds of the crash simulations         [400]
#   MUTANT_SECONDS   time limit of one run of one package   [240]
set -euo pipefail
exec </dev/null

CRASH_SEEDS=${CRASH_SEEDS:-400}
MUTANT_SECONDS=${MUTANT_SECONDS:-240}
GO=${GO:-go}
# Copies in different places share what Go has built.
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-trimpath"
export AOF_CRASH_SEEDS=$CRASH_SEEDS

root=$(cd "$(dirname "$0")/.." && pwd)

usage() {
	sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
	exit 1
}

only=false
apply_only=false
jobs=1
while getopts noj: option; do
	case $option in
	n) apply_only=true ;;
	o) only=true ;;
	j) jobs=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[[ $jobs =~ ^[1-9][0-9]*$ ]] || usage

patches=()
$only || patches=("$root"/mutants/*.patch)
for given in "$@"; do
	[ ! -f "$root/mutants/$given.patch" ] || given=$root/mutants/$given.patch
	[ -f "$given" ] || {
		echo "mutants: there is no $given" >&2
		exit 1
	}
	patches+=("$given")
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/claims" "$work/results" "$work/confirmed" "$work/patches"
for i in "${!patches[@]}"; do # as they are now
	mkdir "$work/patches/$i"
	cp "${patches[i]}" "$work/patches/$i/"
	patches[i]=$work/patches/$i/$(basename "${patches[i]}")
done

copy_module() {
	mkdir -p "$1"
	tar -C "$root" --exclude=./.git --exclude=./build --exclude=./bin -cf - . | tar -C "$1" -xf -
}

binary() { tr -c 'a-zA-Z0-9\n' _ <<<"$1"; } # of a package's tests, by its path

# build TREE PACKAGE...: compiles the tests of packages that have some.
build() {
	local tree=$1 package
	shift
	mkdir -p "$tree.bin"
	for package in "$@"; do
		(cd "$tree" && "$GO" test -c -vet=off -ldflags=-w -o "$tree.bin/$(binary "$package")" "$package") || return 1
	done
}

# run TREE PACKAGE PATTERN OUTPUT: 0 if all of these tests pass.
run() {
	local tree=$1 package=$2 pattern=$3 output=$4 program
	program=$tree.bin/$(binary "$package")
	[ -f "$program" ] || return 0 # has no tests
	(cd "$tree/$package" && timeout --kill-after=10 $((MUTANT_SECONDS + 30)) \
		"$program" -test.run "$pattern" -test.failfast -test.v -test.timeout "${MUTANT_SECONDS}s") >"$output" 2>&1
}

# first_failure OUTPUT names the test that failed first: one that said so, one that
# ran into the time limit, or the one that a crash of the process ended.
first_failure() {
	awk '
		/^ *--- FAIL: / { print $3; found = 1; exit }
		/^panic: test timed out/ { next }
		/running tests:/ { getline; print $1 " (time limit)"; found = 1; exit }
		/^=== RUN / { running = $3 }
		/^(panic|fatal error|unexpected fault address)/ { print running " (crash)"; found = 1; exit }
		END { if (!found) print "the end of the tests" }
	' "$1"
}

# confirm PACKAGE TEST PATTERN: that a test passes without any mutant. If it is no
# test that failed, or one that ran out of time, it is all that PATTERN gives.
confirm() {
	local package=$1 pattern=$3 known
	[[ $2 != Test* || $2 == *limit* ]] || pattern="^${2%%[/ ]*}\$"
	known=$work/confirmed/$(binary "$package $pattern")
	if [ ! -f "$known" ]; then
		run "$work/clean" "$package" "$pattern" "$known.out" && echo yes >"$known.new" || echo no >"$known.new"
		mv "$known.new" "$known"
	fi
	[ "$(cat "$known")" = yes ]
}

# packages PATCH TREE lists packages of a patch that names no tests.
packages() {
	local directories
	directories=$(sed -n 's|^+++ b/\([^[:space:]]*\)/[^/]*\.go.*|./\1|p' "$1" | sort -u)
	(cd "$2" && "$GO" list -test -f '{{if not .ForTest}}{{.Dir}} {{.ImportPath}}{{end}}{{if .ForTest}}- {{.ForTest}} {{len .Deps}} {{.Deps}}{{end}}' ./...) |
		awk -v directories="$directories" -v tree="$2" '
			$1 == "-" {
				users[$2] = users[$2] " " $0 " "
				gsub(/[][]/, " ", users[$2])
				if ($3 > imports[$2]) imports[$2] = $3
				next
			}
			!/\.test$/ { sub("^" tree, ".", $1); path[$1] = $2; directory[$2] = $1 }
			END {
				count = split(directories, touched, "\n")
				for (i = 1; i <= count; i++) if (touched[i] in path) rank[path[touched[i]]] = 0
				for (package in users) for (i = 1; i <= count; i++)
					if (!(package in rank) && index(users[package], " " path[touched[i]] " ")) rank[package] = imports[package]
				for (package in rank) print rank[package], imports[package], directory[package]
			}' | sort -n | awk '{ print $3 }'
}

# named PATCH lists what its comment says: a package and names of tests a line.
named() { awk '/^--- / { exit } /^# Caught by: / { print $4, $5 }' "$1"; }

# judge PATCH TREE sets result and by.
judge() {
	local patch=$1 tree=$2 package names pattern count plan=() all=()
	by=-
	if ! (cd "$tree" && patch --quiet --forward --strip=1 --dry-run <"$patch" && patch --quiet --forward --strip=1 --no-backup-if-mismatch <"$patch") >"$tree.out" 2>&1; then
		result="DOES NOT APPLY"
		return
	fi
	if $apply_only; then
		result=applies
		(cd "$tree" && patch --quiet --reverse --strip=1 --no-backup-if-mismatch <"$patch")
		return
	fi
	mapfile -t plan < <(named "$patch")
	mapfile -t all < <(printf '%s\n' "${plan[@]}" | awk 'NF && !seen[$1]++ { print $1 }')
	[ ${#all[@]} -gt 0 ] || mapfile -t all < <(packages "$patch" "$tree")
	if ! build "$tree" "${all[@]}" >"$tree.out" 2>&1; then
		result="DOES NOT BUILD"
	else
		try "$tree" "${plan[@]}" "${all[@]}"
	fi
	(cd "$tree" && patch --quiet --reverse --strip=1 --no-backup-if-mismatch <"$patch")
}

# try TREE STEP...: a step is a package, or a package and names of tests in it.
try() {
	local tree=$1 step package names pattern unnamed=
	shift
	for step in "$@"; do
		read -r package names <<<"$step"
		pattern=.
		if [ -n "$names" ]; then
			pattern="^($names)\$"
			if [ "$("$tree.bin/$(binary "$package")" -test.list "$pattern" | grep -c ^Test)" != "$(tr '|' '\n' <<<"$names" | grep -c .)" ]; then
				result="NAMES NO TEST"
				return
			fi
		fi
		run "$tree" "$package" "$pattern" "$tree.out" && continue
		by=$(first_failure "$tree.out")
		result=caught
		[ -n "$names" ] || [ ${#plan[@]} = 0 ] || unnamed=", which the patch does not name"
		build_clean "$package"
		confirm "$package" "$by" "$pattern" || result="FAILS WITHOUT IT"
		by+=$unnamed
		return
	done
	result=SURVIVED
}

# build_clean PACKAGE: once, whoever comes first.
build_clean() {
	(
		flock 9
		[ -f "$work/clean.bin/$(binary "$1")" ] || build "$work/clean" "$1"
	) 9>"$work/clean.lock"
}

# worker NUMBER judges what no other worker has begun.
worker() {
	local tree=$work/tree$1 i name start result by
	copy_module "$tree"
	for i in "${!patches[@]}"; do
		mkdir "$work/claims/$i" 2>/dev/null || continue
		name=$(basename "${patches[i]}" .patch)
		start=$SECONDS
		judge "${patches[i]}" "$tree"
		echo "$result" >"$work/results/$i"
		[ "$result" != applies ] || continue
		printf '%-42s %-16s %4ds  by %-60s %s\n' "$name" "$result" $((SECONDS - start)) "$by" "$(sed -n '1s/^#* *//p' "${patches[i]}")"
		[[ $result != "DOES NOT "* ]] || sed 's/^/    /;10q' "$tree.out"
	done
}

# count RESULT: how many mutants had it.
count() { cat "$work"/results/* | grep -cx "$1" || true; }

# all judges the patches, and says how it went with its exit status. A function,
# because bash reads a script as it runs it, and it may be edited meanwhile.
all() {
	local number broken=0 workers=() caught unsure applies
	copy_module "$work/clean"
	for ((number = 1; number <= jobs; number++)); do
		worker "$number" &
		workers+=($!)
	done
	for number in "${workers[@]}"; do
		wait "$number" || broken=1
	done
	[ "$broken" = 0 ] || exit 2

	if $apply_only; then
		applies=$(count applies)
		echo "$applies of ${#patches[@]} mutants apply"
		[ "$applies" = ${#patches[@]} ]
		exit
	fi
	caught=$(count caught)
	unsure=$(count 'FAILS WITHOUT IT')
	echo "${#patches[@]} mutants in ${SECONDS}s: $caught caught, $(count SURVIVED) survived, $(count 'DOES NOT APPLY') do not apply, $(count 'DOES NOT BUILD') do not build, $(count 'NAMES NO TEST') name no test, $unsure not judged"
	[ "$unsure" = 0 ] || exit 2
	[ "$caught" = ${#patches[@]} ]
}

all
exit
