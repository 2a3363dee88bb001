"""Adapter dial: an update stronger, weaker, turned around, or mixed with another."""

import streamlit as st

from replora.ui.inside.dial.page import dial_page
from replora.ui.shell.frame import guard
from replora.ui.shell.style import prose

guard()
dial_page()
st.divider()
prose("dial")
