"""Redis: the online feature store, one partition's states under one hash tag. Must not know what a state says."""
