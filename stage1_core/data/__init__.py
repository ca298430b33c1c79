"""Sources, samples, audit, splits on disk, and feature caches."""
