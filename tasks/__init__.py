"""Prefect tasks: each loads, makes one core call, and saves."""
