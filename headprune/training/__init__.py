"""One training by fairseq's own trainer: resumable, on one device or several, with its cost counted."""
