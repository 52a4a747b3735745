"""Ward stories in clinical words, played through the true doors of both hosts and held to what they expect."""
