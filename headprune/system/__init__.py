"""What the operating system gives: files that appear whole, requests to stop, peak memory, the terminal."""
