"""What a migration would do, said before it is run."""
