"""Style encoders: attentive."""
