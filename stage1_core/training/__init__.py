"""Fitting the weights: one loop that knows no files, and the parts it is put together from."""
