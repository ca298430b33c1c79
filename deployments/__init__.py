"""Where and when flows run: shipped configurations, and the catalogue of what can be started."""
