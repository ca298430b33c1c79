"""Every number the system reports: numpy and scipy in float64, ties exact, undefined is None."""
