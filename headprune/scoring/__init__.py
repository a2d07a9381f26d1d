"""What a head is worth: attention maps, losses under masks, the outputs that make up for what is removed."""
