"""Pictures: into models, and out with what was found drawn into them."""
