"""What keeps the repository true to itself."""
