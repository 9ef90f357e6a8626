"""Read a network as geometry, then ask what depth and width buy."""
