"""The connection to the broker: finding it, logging in, sending, hearing, and noticing when it is gone."""
