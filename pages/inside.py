"""Inside the reparameterization: what latent matrices and MLPs make of A and B, under one's hand."""

import streamlit as st

from replora.ui.frame import guard, prose
from replora.ui.inside_page import inside_page

guard()
inside_page()
st.divider()
prose("inside")
