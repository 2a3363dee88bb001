"""The page Recover a known update: teachers and students."""

import streamlit as st

from replora.ui.frame import guard, prose
from replora.ui.study_teacher import teacher_page

guard()
teacher_page()
st.divider()
prose("recover_update")
