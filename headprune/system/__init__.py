"""Services of the operating system: files that appear whole, requests to stop, peak memory, the terminal."""
