"""Prefect flows: straight lines of tasks, one file a phase."""
