"""Integer graph to integer graph passes: frozen dataclasses, valid graph in, valid graph out."""
