"""What a search leaves: the proven front, its folder, plots and the console."""
