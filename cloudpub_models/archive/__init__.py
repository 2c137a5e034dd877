"""Old rows of one table in files of their own: written, compared, taken out of the database, and read again.

A directory has the rows of one table, as Parquet, a file for each month; DuckDB writes and reads them (extra
``archive``). Which rows, and what they mean, is the business of whoever asks.
"""
