"""Runs a recipe in many variants and several seeds, and keeps what each led to."""
