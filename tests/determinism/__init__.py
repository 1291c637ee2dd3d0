"""One stored history gives one path through a function, however and whenever the function comes to hear of it."""
