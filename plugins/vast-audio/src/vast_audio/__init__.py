"""Audio features: what is said, one row per video frame."""
