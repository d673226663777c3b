"""Messages from the moment they are made until the broker has them: bounded, ordered, accounted for."""
