"""An avatar, live: a server with a page, and a measurement of how late it answers."""
