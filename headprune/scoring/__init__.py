"""The worth of a head: attention maps, losses under masks, the outputs that make up for what is removed."""
