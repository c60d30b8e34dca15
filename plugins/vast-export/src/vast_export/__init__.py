"""The parts of an avatar as graphs, for programs without vast."""
