"""Forms made from specs, and what a link may ask for."""
