"""The face landmarker, its tracker and the canonical mesh."""
