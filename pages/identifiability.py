"""The Identifiability page: what no amount of data tells, exactly."""

import streamlit as st

from replora.ui.frame import guard, prose
from replora.ui.identifiability_page import identifiability_page

guard()
identifiability_page()
st.divider()
prose("identifiability")
