"""May we say so: the NEWS2 floor and, beside it, the chain of filters with named, counted verdicts."""
