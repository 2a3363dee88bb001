"""The Identifiability page: what no amount of data tells, exactly."""

import streamlit as st

from replora.ui.shell.frame import guard
from replora.ui.shell.style import prose
from replora.ui.theory.identifiability import identifiability_page

guard()
identifiability_page()
st.divider()
prose("identifiability")
