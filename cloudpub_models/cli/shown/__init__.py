"""What a command shows: tables, files, progress."""
