"""How people and tests see and control a running emulator: the page at `/`, HTTP below `/_emulator/`."""
