"""What Home Assistant is told: the announcement, and the entities in it."""
