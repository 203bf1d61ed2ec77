"""The commands: each module parses the arguments of one, calls the package and prints."""
