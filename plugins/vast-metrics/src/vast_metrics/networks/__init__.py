"""Metrics by networks that the user brings as ONNX files."""
