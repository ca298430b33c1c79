"""Making the backbone fit the domain before any label is used; import the module you need, this one stays light."""
