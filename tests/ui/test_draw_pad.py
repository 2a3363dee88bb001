"""The drawing pad without a browser: it appears empty, and takes nothing from a browser but a small PNG."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from replora.ui.components.draw_pad import MAX_CHARACTERS, PREFIX, SIDE, png_of

SINK = io.BytesIO()
Image.new("L", (SIDE, SIDE)).save(SINK, "PNG")
PNG = SINK.getvalue()


def url(content: bytes = PNG, prefix: str = PREFIX) -> str:
    return prefix + base64.b64encode(content).decode("ascii")


def test_a_report_becomes_a_png() -> None:
    assert png_of({"generation": 3, "png": url()}, 3) == PNG


@pytest.mark.parametrize(
    "state",
    [
        None,
        "",
        url(),
        7,
        [],
        {},
        {"generation": 0},
        {"png": url()},
        {"generation": 1, "png": url()},
        {"generation": [0], "png": url()},
        {"generation": 0, "png": None},
        {"generation": 0, "png": {"png": url()}},
        {"generation": 0, "png": ""},
        {"generation": 0, "png": PREFIX},
        {"generation": 0, "png": url(prefix="data:image/svg+xml;base64,")},
        {"generation": 0, "png": url(prefix="https://example.org/")},
        {"generation": 0, "png": url(b"<svg/>")},
        {"generation": 0, "png": url()[:-1]},
        {"generation": 0, "png": url() + "\n"},
        {"generation": 0, "png": url() + "!"},
        {"generation": 0, "png": url() + "\u00e9"},
        {"generation": 0, "png": url() + "\ud800"},
        {"generation": 0, "png": url(PNG + bytes(MAX_CHARACTERS))},
    ],
)
def test_any_other_report_is_no_drawing(state: Any) -> None:
    assert png_of(state, 0) is None


def script() -> None:
    import streamlit as st

    from replora.ui.components.draw_pad import draw_pad

    generation = st.number_input("Generation", 0, 9)
    found = draw_pad(key="pad", generation=generation)
    st.write("empty" if found is None else "drawn")


def test_the_pad_appears_empty_and_stays_so() -> None:
    test = AppTest.from_function(script).run()
    assert not test.exception
    assert test.markdown[0].value == "empty"
    test.number_input[0].set_value(1).run()
    assert not test.exception
    assert test.markdown[0].value == "empty"
