"""CSV text: what a spreadsheet would run is defused, numbers stay numbers, and csv reads back what was written."""

from __future__ import annotations

import csv
import io

from replora.csv_text import csv_text


def test_strings_that_would_run_are_defused_and_numbers_stay() -> None:
    rows = [("=1+1", -0.5), ("@SUM(A1)", None), ("-x", True), ("\rx", 3), ("plain", -2)]
    assert csv_text(["name", "value"], rows) == ("name,value\n'=1+1,-0.5\n'@SUM(A1),\n'-x,true\n\"'\rx\",3\nplain,-2\n")


def test_commas_quotes_and_line_ends_in_cells_come_back() -> None:
    cells = ["a,b", 'say "no"', "two\nlines", "two\r\nlines", "a\rb"]
    assert list(csv.reader(io.StringIO(csv_text(cells, [cells]), newline=""))) == [cells, cells]


def test_no_rows_leave_the_header() -> None:
    assert csv_text(["a", "b"], []) == "a,b\n"
