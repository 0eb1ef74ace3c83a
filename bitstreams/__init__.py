"""Bitstreams per board, and the script that builds and records them."""
