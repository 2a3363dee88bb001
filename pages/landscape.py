"""Landscape: the loss on the plane through the frozen model, LoRA and RepLoRA."""

import streamlit as st

from replora.ui.inside.landscape.page import landscape_page
from replora.ui.shell.frame import guard
from replora.ui.shell.style import prose

guard()
landscape_page()
st.divider()
prose("landscape")
