"""The Data efficiency page: accuracy against data fraction."""

import streamlit as st

from replora.ui.frame import guard, prose
from replora.ui.study_data import data_page

guard()
data_page()
st.divider()
prose("data_efficiency")
