"""What only SQLite needs: its engine."""
