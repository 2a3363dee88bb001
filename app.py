"""The playground: `streamlit run app.py`."""

from replora.ui.frame import frame

frame()
