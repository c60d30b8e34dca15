"""What is said, one row a video frame: ppg and mel."""
