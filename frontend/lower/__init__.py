"""Float graph to integer graph, once."""
