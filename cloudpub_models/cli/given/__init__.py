"""What a command is given, said once for all of them: the database, options, conditions, values."""
