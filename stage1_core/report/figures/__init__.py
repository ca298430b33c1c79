"""The figures of a release. Each function returns a matplotlib Figure whose description travels with its PNG."""
