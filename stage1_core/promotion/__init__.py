"""Which released bundle is the champion: whether a candidate may take its place, and how the aliases are moved."""
