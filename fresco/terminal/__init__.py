"""Both command lines: parser, console, progress, shared options."""
