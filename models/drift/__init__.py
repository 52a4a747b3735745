"""Whether what a version meets, says and brings about is still what it was made for: figures, limits, responses."""
