"""Model files in, integer graphs out: importers, quantisers, the zoo, freezing and training."""
