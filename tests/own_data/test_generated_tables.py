"""Tables of all kinds, written by pandas: each comes back exactly, or is refused with a sentence."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replora.own_data.limits import Limits, OwnError
from replora.own_data.tables.table import Table
from replora.own_data.upload import read_upload

LIMITS = Limits()
READ: list[bool] = []  # whether a generated table was read, of those refused with a sentence
SIGNS = st.characters(codec="utf-8", exclude_characters="\x00\ufeff", exclude_categories=["Cs"])
CELLS = st.text(SIGNS, max_size=12) | st.sampled_from(
    ['"', '""', 'say "hi"', "a,b", "a;b", "x\ty", "one\ntwo", "a|b", "'"]
)
QUOTING = {"minimal": 0, "all": 1, "nonnumeric": 2}


@st.composite
def tables(draw: Any) -> pd.DataFrame:
    rows = draw(st.integers(2, 8))
    column = st.lists(CELLS, min_size=rows, max_size=rows)
    numbers = st.lists(st.integers(-5, 5) | st.floats(-1e6, 1e6, width=32), min_size=rows, max_size=rows)
    return pd.DataFrame({"text": draw(column), "label": draw(column), "score": draw(numbers)})


def texts_of(frame: pd.DataFrame, column: str) -> list[str | None]:
    """A column as it should come back: what is empty is missing; a line break inside a cell may be any of three."""
    return [_plain(value) or None for value in frame[column]]


def _plain(text: str | None) -> str:
    return (text or "").replace("\r\n", "\n").replace("\r", "\n")


@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow])
@given(
    tables(), st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(sorted(QUOTING)), st.sampled_from(["\n", "\r\n"])
)
def comes_back_or_is_refused(frame: pd.DataFrame, sep: str, quoting: str, end: str) -> None:
    data = frame.to_csv(index=False, sep=sep, quoting=QUOTING[quoting], lineterminator=end).encode("utf-8")  # type: ignore[call-overload]
    name = "a.tsv" if sep == "\t" else "a.csv"
    try:
        found = read_upload(data, name, LIMITS)
    except OwnError:
        READ.append(False)
        return
    READ.append(True)
    assert isinstance(found, Table)
    assert list(found.columns) == ["text", "label", "score"]
    full = [any(str(value).strip() for value in row) for row in frame.itertuples(index=False)]
    assert len(found) == sum(full) == len(frame)
    for column in ("text", "label"):
        assert [_plain(value) or None for value in found.columns[column]] == texts_of(frame, column)


@pytest.mark.slow
def test_delimited_tables_come_back_and_few_are_refused() -> None:
    READ.clear()
    comes_back_or_is_refused()
    assert sum(READ) > 0.9 * len(READ) > 0.9 * 500


@pytest.mark.slow
@settings(max_examples=300)
@given(tables(), st.sampled_from(["string", "category", "large_string[pyarrow]"]))
@pytest.mark.filterwarnings("ignore")
def test_a_parquet_table_comes_back(frame: pd.DataFrame, kind: str) -> None:
    sink = io.BytesIO()
    frame.astype({"text": kind, "label": kind}).to_parquet(sink)
    found = read_upload(sink.getvalue(), "a.parquet", LIMITS)
    assert isinstance(found, Table)
    for column in ("text", "label"):
        assert found.columns[column] == [value or None for value in frame[column]]
    assert [float(value or "nan") for value in found.columns["score"]] == [float(value) for value in frame["score"]]


@pytest.mark.slow
@settings(max_examples=200)
@given(tables())
def test_json_lines_come_back(frame: pd.DataFrame) -> None:
    data = frame.to_json(orient="records", lines=True, force_ascii=False).encode("utf-8", "surrogatepass")
    found = read_upload(data, "a.jsonl", LIMITS)
    assert isinstance(found, Table)
    for column in ("text", "label"):
        assert found.columns[column] == [value or None for value in frame[column]]
