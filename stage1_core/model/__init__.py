"""Backbones, adapters, heads and the classifier they make; import the module you need, this one stays light."""
