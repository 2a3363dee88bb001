"""What live pages share: the engine, a visitor's session, recordings."""
