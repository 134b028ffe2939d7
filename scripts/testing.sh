# Running tests and adding up what came out.  Sourced by scripts/test and
# .ci/run; POSIX sh.  `root` is the folder of the sources.
# shellcheck shell=sh disable=SC2154

# shellcheck source=scripts/setup.sh
. "$root/scripts/setup.sh"

# The end-to-end tests have hung when they take longer.
END_TO_END_PATIENCE_S=1200
# Most of them wait most of the time: so many run side by side.
END_TO_END_AT_ONCE=6

passed=0
failed=0
skipped=0
launcher= # a command to run the tests of Meson with, if need be

title() # TEXT
{
	printf '\n=== %s\n' "$1"
}

add() # PASSED FAILED SKIPPED
{
	passed=$((passed + $1))
	failed=$((failed + $2))
	skipped=$((skipped + $3))
}

# One step that counts as one test.
check() # NAME COMMAND...
{
	title "$1"
	shift
	if "$@" </dev/null; then
		add 1 0 0
	else
		echo "FAILED: $*"
		add 0 1 0
	fi
}

# A build that fails counts as a failed test.
build() # FOLDER MESON_OPTION...
{
	title "build $(basename "$1")"
	build_tree "$@" || {
		add 0 1 0
		return 1
	}
}

# Add what a test runner's report says.  A runner that failed without naming a
# test, or ran none, is a failure too.
add_report() # meson | pytest, FILE, STATUS of the runner
{
	counts=
	[ ! -e "$2" ] ||
		counts=$("$python" "$root/scripts/count_tests.py" "$1" "$2")
	case $3:$counts in
	*: | *:0\ 0\ 0) counts='0 1 0' ;;
	0:*) ;;
	*:*\ 0\ *) add 0 1 0 ;;
	esac
	# shellcheck disable=SC2086 # three numbers
	add $counts
}

# The tests that Meson knows: unit, threads, fuzz corpora.
meson_tests() # FOLDER [ARGUMENT of meson test]...
{
	title "tests of $(basename "$1")"
	folder=$1
	shift
	report=$folder/meson-logs/testlog.json
	rm -f "$report"
	$launcher meson test -C "$folder" --no-rebuild "$@" </dev/null
	add_report meson "$report" $?
}

# The real programs on loopback.  They depend on time in places, and on how busy
# the machine is: what failed is tried once more by itself, and told.
end_to_end() # FOLDER [ARGUMENT of pytest]...
{
	title "end to end with $(basename "$1")"
	folder=$1
	shift
	report=$folder/end_to_end.xml
	again=$folder/end_to_end_again.xml
	rm -f "$report" "$again"
	run_pytest "$folder" "$report" --numprocesses="$END_TO_END_AT_ONCE" "$@"
	status=$?
	if [ "$status" -ne 1 ]; then
		add_report pytest "$report" "$status"
		return
	fi

	title "what failed, once more by itself"
	run_pytest "$folder" "$again" --last-failed --last-failed-no-failures=none
	status=$?
	# shellcheck disable=SC2046 # three numbers
	set -- $("$python" "$root/scripts/count_tests.py" pytest "$report")
	add "${1:-0}" 0 "${3:-0}"
	add_report pytest "$again" "$status"
}

run_pytest() # FOLDER REPORT [ARGUMENT]...
{
	programs=$1
	xml=$2
	shift 2
	TBT_CLIENT=$programs/client/tbt-client \
		TBT_TRACKER=$programs/tracker/tbt-tracker \
		PYTHONDONTWRITEBYTECODE=1 \
		timeout "$END_TO_END_PATIENCE_S" \
		"$python" -m pytest -q -o cache_dir="$programs/pytest-cache" \
		--junitxml="$xml" "$@" "$root/tests/end_to_end" </dev/null
}

# The closing line; the result is whether nothing failed.  TBT_TOTALS names a
# file for the numbers, for a script that called this one.
print_total()
{
	[ -z "${TBT_TOTALS:-}" ] || echo "$passed $failed $skipped" >"$TBT_TOTALS"
	printf '\n%s passed, %s failed' "$passed" "$failed"
	[ "$skipped" -eq 0 ] || printf ', %s skipped' "$skipped"
	printf '\n'
	[ "$failed" -eq 0 ]
}
