"""The server dies, or its disk does: nothing that it had acknowledged is lost."""
