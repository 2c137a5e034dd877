"""Feeds: everything that a log has got since somebody last looked, nothing left out, nothing twice.

``reading`` gives a named consumer its next batch, in the transaction that keeps how far it has got; ``consumers`` lists
those, moves and removes them; ``outbox`` has what programs publish. What a position is, and what lies behind one, is in
``postgresql`` and ``sqlite``.
"""
