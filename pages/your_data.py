"""The page Your data: a file of one's own becomes a task."""

import streamlit as st

from replora.ui.frame import guard, prose
from replora.ui.own_page import own_page

guard()
own_page()
st.divider()
prose("your_data")
