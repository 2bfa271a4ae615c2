"""What Chromium makes of our cookies: a real browser, real servers, real TLS."""
