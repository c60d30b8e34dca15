"""The face landmarker, its tracker and the expression basis on the canonical mesh."""
