"""Audio and style to expression: hybrid."""
