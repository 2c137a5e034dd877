"""Rows of tables that grow, kept on several servers by what they belong to; all other tables stay on the main database.

Which servers those are, and which of them has what, is known to ``cells``; ``scattered`` has the managers ask them.
"""
