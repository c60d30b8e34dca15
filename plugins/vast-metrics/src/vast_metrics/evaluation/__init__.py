"""``vast eval`` and ``vast compare``: any system's videos, or a run, measured by one protocol."""
