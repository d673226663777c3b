"""The live view: what the daemon sees, its figures and its health, over HTTP."""
