"""What the measuring engine claims about itself, and the measurements behind each claim."""
