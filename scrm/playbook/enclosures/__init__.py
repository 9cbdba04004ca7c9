"""What goes out with a talk-track: pictures and files, kept once, held by the channels ahead of time."""
