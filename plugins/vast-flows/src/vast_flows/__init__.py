"""Posterior flows, each amortised on the encoder's context."""
