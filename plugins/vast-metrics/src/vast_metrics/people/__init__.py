"""Style on real people: labelled prompts of people never trained on, and what an avatar makes of them."""
