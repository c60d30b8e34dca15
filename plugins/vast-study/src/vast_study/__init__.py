"""The mean opinion score test of the VAST paper as a web application: judges watch, rate, and are asked no name."""
