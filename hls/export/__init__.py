"""A network's parameters for accelerators that others have written, as text files."""
