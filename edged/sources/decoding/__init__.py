"""From packets to upright pictures: what is decoded, and by what."""
