"""Rendered road scenes with and without road works: data for the demo and the tests that any machine can make."""
