from __future__ import annotations

from typing import TYPE_CHECKING

from tests.kernels import results, suites, table

if TYPE_CHECKING:
    from pathlib import Path

JUNIT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.lab.host" name="test_c"><properties>
<property name="wan_egress" value="41"/></properties></testcase>
<testcase classname="tests.lab.host" name="test_d[1]"><failure message="E1&#10;more"/></testcase>
<testcase classname="tests.lab.host" name="test_e"><skipped message="old"/></testcase>
<testcase classname="tests.lab.host" name="test_f"><skipped message="old"/></testcase>
</testsuite></testsuites>"""


def test_the_page_says_what_the_runs_said() -> None:
    assert table.PAGE.read_text() == table.page(results.read())


def test_what_ran_is_of_kernels_and_suites_that_there_are() -> None:
    known = results.read()
    assert known.keys() <= {kernel.name for kernel in suites.KERNELS}
    for name, row in known.items():
        assert str(row["version"]).startswith(f"{name.partition('-')[0]}.")
        ran = row["suites"]
        assert isinstance(ran, dict)
        assert ran.keys() <= {suite.name for suite in suites.SUITES}


def test_a_report_is_counted_by_test_and_reason() -> None:
    result, steps = results.of_junit(JUNIT)
    assert result == results.Result(1, {"tests/lab/host.py::test_d[1]": "E1"}, {"old": 2})
    assert str(result) == "1 passed, 1 failed, 2 skipped"
    assert steps == {"wan_egress": 41}


def test_a_demo_that_fails_or_never_ends_is_no_success() -> None:
    story = "   ok: one\n   ok: two\n"
    assert str(results.of_demo(0, story)) == "2 passed"
    assert str(results.of_demo(1, f"{story}FAILED: three\n")) == "2 passed, 1 failed"
    assert str(results.of_demo(None, story)) == "2 passed, came to no end"


def test_what_a_test_said_is_no_markup_of_the_page() -> None:
    failed = results.Result(0, {"t": "a `b` *c*"})
    known = {"6.1": {"version": "6.1.0", "suites": {"traffic": vars(failed)}}}
    assert "- 6.1: `t`: `a 'b' *c*`" in table.page(known)


def test_a_later_run_of_a_suite_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    place = tmp_path / "kernels.json"
    for suite, steps in (("steps", {"gone": 1}), ("steps", {"wan_egress": 2}), ("demo", {})):
        came = results.Came(results.Result(len(steps)), 1.0, steps)
        results.write(results.Run("6.1", "6.1.0-50-amd64", suite, came), place)
    row = results.read(place)["6.1"]
    assert row["steps"] == {"wan_egress": 2}
    assert row["suites"].keys() == {"demo", "steps"}  # type: ignore[attr-defined]
