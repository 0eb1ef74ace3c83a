"""The layer generators: each stage of a dataflow accelerator is one HeteroCL program text, written once."""
