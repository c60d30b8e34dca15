"""Where clips come from: synthetic and folder."""
