"""The page Recover a known update: teachers and students."""

import streamlit as st

from replora.ui.live.recorded_claims import tuned
from replora.ui.shell.frame import guard
from replora.ui.shell.style import prose
from replora.ui.studies.teacher_page import teacher_page

guard()
teacher_page()
st.divider()
prose("recover_update", tuned=tuned())
