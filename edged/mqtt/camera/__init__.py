"""What is told of one camera: counts, events and pictures."""
