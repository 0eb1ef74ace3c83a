"""ONNX files: integer networks, QONNX and QDQ, read without running anything that is in them."""
