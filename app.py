"""The playground: `streamlit run app.py`, imported for its web application, run as the script of each session."""

import streamlit as st

from replora.ui.server import MIDDLEWARE, serving
from replora.ui.shell.frame import frame
from replora.ui.tour.panel import tour

if __name__ == "__main__":
    frame(tour)
else:
    app = st.App(__file__, middleware=MIDDLEWARE, lifespan=serving)
