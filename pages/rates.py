"""The Rates page: how fast estimates approach the truth, measured."""

import streamlit as st

from replora.ui.frame import guard, prose
from replora.ui.rates_page import rates_page

guard()
rates_page()
st.divider()
prose("rates")
