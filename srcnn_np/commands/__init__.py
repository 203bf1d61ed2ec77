"""The commands: each module parses one's arguments, calls the package and prints."""
