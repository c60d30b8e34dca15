"""The studio: an avatar made from a clip on a web page."""
