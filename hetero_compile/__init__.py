"""Command lines, the flow and board files: the table of contents of the compiler. No algorithm lives here."""
