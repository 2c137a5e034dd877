"""The change log: who changed which row, when and from what, written by the database's own triggers.

Whatever writes is in it: managers, Peewee, raw SQL, COPY, cascades, other programs. ``recording`` switches it on and
off and keeps its triggers in step with the tables; ``changes`` reads it; ``past`` gives the rows as they were;
``taking_back`` undoes a transaction and brings deleted rows back. How a database records is in ``postgresql`` and
``sqlite``. Nothing here knows the managers.
"""
