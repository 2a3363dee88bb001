"""Inside the reparameterization: what latent matrices and MLPs make of A and B, under one's hand."""

import streamlit as st

from replora.ui.inside.reparameterization.page import inside_page
from replora.ui.live.recorded_claims import tuned
from replora.ui.shell.frame import guard
from replora.ui.shell.style import prose

guard()
inside_page()
st.divider()
prose("inside", tuned=tuned())
