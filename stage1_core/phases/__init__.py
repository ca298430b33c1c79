"""The phases of the ladder: each one's whole configuration, and what it must prove before anything is released."""
