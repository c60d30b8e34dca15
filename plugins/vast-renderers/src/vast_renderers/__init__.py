"""Renderers: cgan_convlstm and mesh."""
