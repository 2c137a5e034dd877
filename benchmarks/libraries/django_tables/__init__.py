"""A Django application, since Django finds relations between models of applications only."""
