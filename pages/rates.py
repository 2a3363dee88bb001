"""The Rates page: how fast estimates approach the truth, measured."""

import streamlit as st

from replora.ui.shell.frame import guard
from replora.ui.shell.style import prose
from replora.ui.theory.rates.page import rates_page

guard()
rates_page()
st.divider()
prose("rates")
