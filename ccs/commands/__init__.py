"""The subcommands of ``ccs``, one file each."""
