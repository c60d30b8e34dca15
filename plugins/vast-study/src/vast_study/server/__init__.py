"""The web application of a study: pages for judges and for the experimenter, and its security."""
