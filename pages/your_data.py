"""The page Your data: a file of one's own becomes a task."""

import streamlit as st

from replora.ui.own_data.page import own_page
from replora.ui.shell.frame import guard
from replora.ui.shell.style import prose

guard()
own_page()
st.divider()
prose("your_data")
