"""Programs that use tidings, to run and to copy from."""
