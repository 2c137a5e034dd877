"""What only PostgreSQL needs: its engine, its connections and their pool."""
