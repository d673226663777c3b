"""Model files: reading, choosing and fetching them, and what is loaded from them."""
