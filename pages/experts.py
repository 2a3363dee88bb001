"""The page Attention as experts: a head's gates and experts, before and after."""

import streamlit as st

from replora.ui.inside.experts.page import experts_page
from replora.ui.shell.frame import guard
from replora.ui.shell.style import prose

guard()
experts_page()
st.divider()
prose("experts")
