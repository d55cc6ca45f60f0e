"""Host controller side: emulator of the PyCubed controller and update of a Raspberry Pi."""
