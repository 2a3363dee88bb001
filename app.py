"""The playground: `streamlit run app.py`."""

from replora.ui.shell.frame import frame

frame()
