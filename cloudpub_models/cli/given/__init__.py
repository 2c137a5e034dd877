"""What a command is given: arguments, conditions, values, consent."""
