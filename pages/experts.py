"""The page Attention as experts: a head's gates and experts, before and after."""

import streamlit as st

from replora.ui.experts_page import experts_page
from replora.ui.frame import guard, prose

guard()
experts_page()
st.divider()
prose("experts")
