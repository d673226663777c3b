"""What is told of one camera: counts, events, pictures, and totals that outlive a restart."""
