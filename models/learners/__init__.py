"""Learners: strictly incremental, bounded, reproducible from a seed; `classifier` says what each of them can do."""
