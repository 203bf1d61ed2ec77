"""The commands: each module parses the arguments of one command, calls the package and prints."""
