#!/usr/bin/env python3
"""How many tests passed, failed and were skipped: three numbers on stdout, and
the output of what failed on stderr.

    count_tests.py meson BUILD/meson-logs/testlog.json
    count_tests.py pytest REPORT.xml

A Criterion program counts as the tests that it ran, by its closing line; every
other program as one.
"""

import json
import re
import sys
import xml.etree.ElementTree

SYNTHESIS = re.compile(
    r"Tested: .*?(\d+).*?Passing: .*?(\d+).*?Failing: .*?(\d+)"
    r".*?Crashing: .*?(\d+)")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def count_meson(path):
    passed = failed = skipped = 0
    with open(path, encoding="utf-8", errors="replace") as log:
        results = [json.loads(line) for line in log if line.strip()]
    for result in results:
        output = COLOUR.sub("", result.get("stdout", "") + result.get("stderr", ""))
        good = result["result"] in ("OK", "EXPECTEDFAIL")
        synthesis = SYNTHESIS.search(output)
        if result["result"] == "SKIP":
            skipped += 1
        elif not synthesis:
            passed += good
            failed += not good
        else:
            tested, passing = int(synthesis[1]), int(synthesis[2])
            passed += passing
            # A program may fail after its last test, by a leak for example.
            failed += max(tested - passing, not good)
        if not good and result["result"] != "SKIP":
            print(f"{result['name']}: {result['result']}\n{output}",
                  file=sys.stderr)
    return passed, failed, skipped


def count_pytest(path):
    passed = failed = skipped = 0
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        outcomes = {child.tag for child in case}
        if outcomes & {"failure", "error"}:
            failed += 1
        elif "skipped" in outcomes:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main():
    count = {"meson": count_meson, "pytest": count_pytest}[sys.argv[1]]
    print(*count(sys.argv[2]))


main()
