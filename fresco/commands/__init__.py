"""The subcommands of ``fresco``, one file each."""
