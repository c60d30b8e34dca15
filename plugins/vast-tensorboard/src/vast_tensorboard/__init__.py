"""Writes every logged loss to a TensorBoard log in the run directory."""
