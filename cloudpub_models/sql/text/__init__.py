"""SQL that a person wrote: its tokens, its parameters, what may be shown of it."""
