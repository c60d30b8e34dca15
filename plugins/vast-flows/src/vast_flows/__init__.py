"""Posterior flows: none, householder and planar."""
