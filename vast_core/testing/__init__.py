"""The conformance kit: checks that a component keeps its interface, for authors of plugins."""
