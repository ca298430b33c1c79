"""The command line, `stage1`. Imports of anything heavy wait until a command needs them."""
