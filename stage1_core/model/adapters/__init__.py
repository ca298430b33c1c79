"""Training a part of the backbone, and making an ordinary backbone of the result; import the module you need."""
