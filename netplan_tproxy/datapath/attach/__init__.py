"""Where our programs attach, besides the filters of a device."""
