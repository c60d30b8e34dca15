"""The mean opinion score test of the VAST paper as a web application for anonymous judges."""
