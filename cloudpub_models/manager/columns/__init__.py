"""Values between Python and the database, column by column."""
