"""What a caller may pass: conditions, orders and counts, checked before anything is sent."""
