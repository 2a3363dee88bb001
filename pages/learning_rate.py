"""The Learning rate page: a sweep for each method."""

import streamlit as st

from replora.ui.frame import guard, prose
from replora.ui.study_rate import rate_page

guard()
rate_page()
st.divider()
prose("learning_rate")
