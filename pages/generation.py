"""Generated text: what an adapter does to a sentence, from step to step."""

import streamlit as st

from replora.ui.inside.generation.page import generation_page
from replora.ui.shell.frame import guard
from replora.ui.shell.style import prose

guard()
generation_page()
st.divider()
prose("generation")
