"""Pictures: quicklooks, spectra and class maps, by matplotlib."""
