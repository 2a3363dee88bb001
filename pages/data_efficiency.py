"""The Data efficiency page: accuracy against data fraction."""

import streamlit as st

from replora.ui.live.recorded_claims import small_data
from replora.ui.shell.frame import guard
from replora.ui.shell.style import prose
from replora.ui.studies.data_page import data_page

guard()
data_page()
st.divider()
prose("data_efficiency", small_data=small_data())
