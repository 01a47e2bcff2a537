"""Resolutions compared: trained at one size, at another, and at the pictures' own; and each tested at all of them."""
