"""Figures: data in, picture out. No Streamlit, no torch; only specs, events and summaries are read."""
