"""One HTML file that needs nothing else: data packed inside, drawn by our own script. Both packages' reports use it."""
