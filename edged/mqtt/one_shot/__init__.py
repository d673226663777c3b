"""Short connections of their own, without a node: looking, a last word, taking everything back."""
