"""Small, valid files of the kinds that workflows make, besides pictures."""
