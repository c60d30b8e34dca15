"""Small components of the sorts that the first-party ones are not; see tests/test_toys.py."""
