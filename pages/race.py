"""The Race page: LoRA against RepLoRA, live."""

import streamlit as st

from replora.ui.race.page import race_page
from replora.ui.shell.frame import guard
from replora.ui.shell.style import prose

guard()
race_page()
st.divider()
prose("race")
