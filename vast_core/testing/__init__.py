"""The conformance kit: what a third party runs over their own components."""
