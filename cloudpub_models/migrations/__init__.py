"""The numbered migration scripts, applied in order; each is a frozen step that never changes once released."""
