"""A zoo of media files, made from one synthetic clip, each with what must be read from it."""
