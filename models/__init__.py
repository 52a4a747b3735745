"""How likely: NEWS2 and other early-warning scores, River scoring and learning, versions."""
