"""AdamW, SOAP and Muon by the recipe, with the papers' decay and learning rate, and their state by name."""
