"""What live sources share: connections to cameras, read in a thread, opened again after a loss."""
