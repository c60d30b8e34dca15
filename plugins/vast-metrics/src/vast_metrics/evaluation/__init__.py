"""``vast eval`` and ``vast compare``: videos of any system, or a run, measured by one protocol."""
