"""The parts of the benchmark that read other programs' output or write the page, without running any server."""

import dataclasses

import pytest

import load
import proc
import report
import routing
from cases import CASES, Case
from servers import CANNOT, FILES, LACKS, LISTENERS, NAMES, Broken

CASE = Case("x", "x", 1, length=200)


def wrk(requests=10, size=4000, errors="0 0 0 0 0"):
    return f"Running 1s test\nresult {requests} 2000000 {size} {errors} 150 900\n"


def test_wrk_line_is_read():
    assert load.parse_wrk(wrk(), CASE) == (10, 2.0, 150, 900)


@pytest.mark.parametrize("text, words", [
    ("unable to connect to 127.0.0.1:1 Connection refused", "refused"),
    ("", "no output"),
    (wrk(errors="1 0 0 0 0"), "1 connect"),
    (wrk(errors="0 2 0 0 0"), "2 read"),
    (wrk(errors="0 0 0 7 0"), "7 status"),
    (wrk(errors="0 0 0 0 3"), "3 timeout"),
    (wrk(requests=0), "no answer"),
    (wrk(size=1999), "too few"),
])
def test_wrong_answers_fail_a_round(text, words):
    with pytest.raises(Broken, match=words):
        load.parse_wrk(text, CASE)


def test_system_calls_are_read_from_perf_and_strace():
    perf = "# started on Mon\n\n145,,raw_syscalls:sys_enter,1199357,100.00,,\n"
    assert proc.parse_syscalls("perf", perf) == 145
    assert proc.parse_syscalls("perf", perf.replace("145", "<not counted>")) is None
    assert proc.parse_syscalls("strace", "100.00    0.012345          85       144        19 total\n") == 144
    assert proc.parse_syscalls("strace", "100.00    0.012345           144           total\n") == 144
    assert proc.parse_syscalls("strace", "") is None


def result(*cpu):
    r = report.Result()
    r.rounds = [load.Round(us, 1e6 / us, 1 << 20, 1, 2, 10) for us in cpu]
    return r


def results():
    return {"x": {"nginx": result(10, 30, 20), "weir": result(14, 15, 16), "haproxy": report.Result("not built"),
                  "floor": report.Result("went away", failed=True)}}


def test_cells_are_ratios_of_medians():
    (header, row) = report.table(results(), [CASE], ["nginx", "weir", "haproxy", "floor"], "cpu_us")
    assert header == ["case", "nginx", "weir", "haproxy", "floor"]
    assert row == ["x", "20.0", "0.75 (15.0)", "not built", "failed"]


def test_without_nginx_cells_are_figures():
    rows = report.table({"x": {"weir": result(1234.5)}}, [CASE], ["weir"], "cpu_us")
    assert rows[1] == ["x", "1,234"]


def test_page_keeps_the_notes_and_names_failures(tmp_path):
    page = tmp_path / "benchmarks.md"
    facts = {"date": "2026-01-01", "machine": "a machine", "busy": 0, "versions": ["nginx 1"], "other": "another",
             "rounds": 3, "seconds": 1, "clock": "schedstat", "tool": "perf"}
    names = ["nginx", "weir", "haproxy", "floor"]
    report.page(page, results(), [CASE], names, facts)
    text = page.read_text()
    assert "| x | 20.0 | 0.75 (15.0) | not built | failed |" in text
    assert "- x: floor: went away" in text
    page.write_text(text.replace("Nothing yet.", "By hand: \\1 stays."))
    report.page(page, {"x": {"nginx": result(40)}}, [CASE], ["nginx"], facts)
    again = page.read_text()
    assert "By hand: \\1 stays." in again and "40.0" in again and "went away" not in again
    assert again.count(report.BEGIN) == again.count(report.END) == 1


def test_case_names_are_unique_and_known():
    names = [c.name for c in CASES]
    assert len(set(names)) == len(names)
    assert set(CANNOT) <= set(NAMES) and all(cannot <= set(names) for cannot in CANNOT.values())
    assert set(FILES) == set(NAMES) - {"floor"} and all(lacks <= set(LISTENERS) for lacks in LACKS.values())


def test_large_configurations_have_bounds():
    good = routing.Seen("weir", (0.1, 1 << 20), (0.01, 1), 3.0, 3.1, 9.0)
    assert routing.problems([good]) == []
    assert "loaded in 1.50 s" in routing.problems([dataclasses.replace(good, load=(1.5, 1))])[0]
    assert "1.50 times" in routing.problems([dataclasses.replace(good, ten=4.5)])[0]
    assert routing.problems([dataclasses.replace(good, name="nginx", load=(9, 1), ten=90.0)]) == []    # only weir is judged
    assert routing.table([good])[1] == ["weir", "100", "1.0", "3.00", "1.03 (3.10)", "3.00 (9.00)"]
