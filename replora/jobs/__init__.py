"""Jobs in processes of their own: the engine and its host, the store, the history."""
