"""What every model is made of: the base class, fields, relations, and the database that a model is bound to."""
