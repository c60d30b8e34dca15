"""A real run of the smallest recipe is killed, starved of disk and damaged; it must end as if nothing had happened.

``python tests/faults`` prints the table: fault, tried, survived, lost.
"""
