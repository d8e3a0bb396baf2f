"""Keeping what the emulator has been told: to start anew with it, and to go back to how it was."""
