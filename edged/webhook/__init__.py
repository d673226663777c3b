"""Events by HTTP to a server of the user's, tried again until it has taken them."""
