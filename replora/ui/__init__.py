"""What the pages share: frame, controls made from specs, engine, the live race. Streamlit, never torch."""
