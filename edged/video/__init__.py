"""Video on disk: encoding, fragmented MP4, segments, and the disk they share with everybody else."""
