"""Along the wavelength: resampling to other bands, gaps, moments, and the minimum noise fraction. Arrays in, arrays out."""
