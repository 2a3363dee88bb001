"""The Race page: LoRA against RepLoRA, live."""

import streamlit as st

from replora.ui.frame import guard, prose
from replora.ui.race_page import race_page

guard()
race_page()
st.divider()
prose("race")
