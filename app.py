"""The playground: `streamlit run app.py`, imported for its web application, run as the script of each session."""

import streamlit as st

from replora.ui.links import drop_unknown, say_unknown
from replora.ui.server import MIDDLEWARE, serving
from replora.ui.share.popover import share
from replora.ui.shell.frame import frame
from replora.ui.tour.panel import tour

if __name__ == "__main__":
    frame(say_unknown, tour, drop_unknown, share)
else:
    app = st.App(__file__, middleware=MIDDLEWARE, lifespan=serving)
