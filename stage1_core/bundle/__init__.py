"""Releases: content-addressed artifacts, the sealed bundle, and the runtime that production imports."""
