"""What a camera knows beyond one frame: pure, without threads or I/O."""
