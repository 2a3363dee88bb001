"""The Learning rate page: a sweep for each method."""

import streamlit as st

from replora.ui.shell.frame import guard
from replora.ui.shell.style import prose
from replora.ui.studies.rate_page import rate_page

guard()
rate_page()
st.divider()
prose("learning_rate")
