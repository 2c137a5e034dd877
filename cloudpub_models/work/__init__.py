"""What programs need that share work: leases on rows, and things that are done once.

``leases`` has what is sent for the managers' ``lease``; ``receipts`` what ``Database.once`` writes down. Both keep to
tables of their own, which ``component`` describes and its migrations make. Nothing here knows the managers.
"""
