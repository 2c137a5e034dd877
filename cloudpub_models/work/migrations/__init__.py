"""The scripts that make the tables of leases and receipts."""
