"""Explaining a score: what it is explained against, how far each input moved it, and the words for that."""
