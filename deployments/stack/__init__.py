"""Databases, servers and workers of one machine as values, and the supervisor that runs them."""
