"""Who writes instructions: a bank of clauses, a language model, a file."""
