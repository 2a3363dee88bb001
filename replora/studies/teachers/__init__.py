"""Teachers that hide a low-rank update, and the students that look for it: spec, engine and summary."""
