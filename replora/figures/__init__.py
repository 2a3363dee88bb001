"""Figures: data in, picture out. No Streamlit, no torch; only specs, events, summaries and answers are read."""
