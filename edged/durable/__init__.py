"""What outlives a kill: open events, what of them is owed, totals of lines."""
