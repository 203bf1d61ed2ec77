"""Write the pieces of a convolutional network, and have them checked: see README.md here."""
