"""Where is the command line? In main; parser, commands, output and terminal are its parts."""
