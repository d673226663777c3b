"""What the broker retains of a node, in step with what it is called."""
